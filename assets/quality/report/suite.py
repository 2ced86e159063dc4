"""Great Expectations' own page of a suite, by its own renderer, made harmless.

Stock Data Docs put values and column names of the data into the page unescaped, and load scripts and styles from
elsewhere. Here every character of the data that could become markup is hidden from the renderer and given back as an
entity; of what it makes, only tables and text are kept.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from html.parser import HTMLParser
from typing import Any

from markupsafe import Markup

from assets.quality.redaction import hidden_columns
from assets.quality.report.data import ReportData
from assets.quality.report.words import environment

MAX_RESULTS = 400
MAX_ITEMS = 20
MAX_CHARS = 300
_MARKUP = "<>&\"'`$={}\\\n\r"
_HIDE = {ord(char): 0xE000 + at for at, char in enumerate(_MARKUP)}
_SHOW = {0xE000 + at: html.escape(char) for at, char in enumerate(_MARKUP)}
_OWN = re.compile("[\ue000-\uf8ff]")
_TAGS = {
    "div",
    "span",
    "p",
    "table",
    "thead",
    "tbody",
    "tr",
    "td",
    "th",
    "ul",
    "ol",
    "li",
    "strong",
    "em",
    "b",
    "i",
    "br",
}
_TAGS |= {"code", "pre", "hr", "small", "h1", "h2", "h3", "h4", "h5", "h6"}
_CLASSES = {"badge", "text-success", "text-danger", "text-warning", "fa-check-circle", "fa-times", "alert", "h6"}
_CLASSES |= {"fa-exclamation-triangle", "table", "ge-section"}
_DROPPED = {"script", "style", "svg", "button", "select", "iframe", "object"}
_VALUES = ("partial_unexpected_list", "partial_unexpected_counts", "partial_missing_list", "observed_value", "details")
_COUNTS: tuple[str, ...] = ("element_count", "unexpected_count", "unexpected_percent", "missing_count")
_COUNTS += ("missing_percent", "unexpected_percent_total", "unexpected_percent_nonmissing")


def suite_page(contents: ReportData) -> str:
    """The page of a judged batch's suite, `suite.html` beside its own page."""
    data, spool = contents.line.config.data, contents.spool
    first = spool.starts[1] if len(spool.starts) > 1 else 0
    note = f"Counts and values on this page are those of the batch's first {first:,} records." if first else ""
    if data.privacy.encrypt:
        note = f"The records are encrypted, so no value of theirs is on this page. {note}".strip()
    hidden = hidden_columns(data)
    return gx_page(contents.raw, contents.line.name, contents.verdict.batch, hidden, note, data.privacy.encrypt)


def gx_page(
    results: Sequence[Mapping[str, Any]],
    line: str,
    batch: str,
    private: Collection[str] = (),
    note: str = "",
    sealed: bool = False,
) -> str:
    """The page of expectations' results; bounded in size, nothing fetched, no script.

    Args:
        results: JSON of `ExpectationValidationResult`, one per expectation.
        private: columns whose values are left out.
        note: a sentence for its top.
        sealed: leave out the values of every column.
    """
    shown = [_bounded(result, private, sealed) for result in results[:MAX_RESULTS]]
    kept = _Kept()
    if shown:
        try:
            kept.feed(_rendered(shown, line, f"batch {batch[:8]}"))
        except Exception as error:  # its renderer trips over some results; the gate's own page has everything
            note = f"{note} Great Expectations could not show this suite ({type(error).__name__}).".strip()
        kept.close()
    body = Markup("".join(kept.parts).translate(_SHOW))  # noqa: S704 -- tags of a fixed list, everything else escaped
    page = environment().get_template("suite.html")
    return page.render(line=line, batch=batch, body=body, note=note, more=max(0, len(results) - MAX_RESULTS))


def _rendered(results: Sequence[Mapping[str, Any]], line: str, name: str) -> str:
    """The renderer's page of bounded results, as it comes."""
    from assets.quality.engines.pandas_suite import warm_up

    warm_up()  # its settings and warnings are dealt with there
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer

    made = [
        ExpectationValidationResult(
            success=bool(result["success"]),
            expectation_config=ExpectationConfiguration(**result["expectation_config"]),
            result=result["result"],
            exception_info=result["exception_info"],
            meta={},
        )
        for result in results
    ]
    good = sum(bool(result["success"]) for result in results)
    statistics = {
        "evaluated_expectations": len(made),
        "successful_expectations": good,
        "unsuccessful_expectations": len(made) - good,
        "success_percent": 100 * good / len(made),
    }
    suite = ExpectationSuiteValidationResult(
        success=good == len(made),
        results=made,
        suite_name=line,
        suite_parameters={},
        statistics=statistics,
        meta={"batch_spec": {"data_asset_name": name}},
    )
    return str(_page_view().render(ValidationResultsPageRenderer().render(suite)))


@cache
def _page_view() -> Any:
    """Great Expectations' view, one per process: each new one compiles every template of the page again."""
    from great_expectations.render.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def _bounded(result: Mapping[str, Any], private: Collection[str], sealed: bool) -> dict[str, Any]:
    """A result with no more than the page shows, its texts made harmless; without traces, values of private columns."""
    config = result.get("expectation_config") or {}
    kwargs = {key: value for key, value in (config.get("kwargs") or {}).items() if key != "batch_id"}
    about = [kwargs.get(key) for key in ("column", "column_A", "column_B")] + list(kwargs.get("column_list") or ())
    hidden = sealed or any(name in private for name in about)
    found = result.get("result") or {}
    names = _COUNTS if hidden else (*_COUNTS, *_VALUES)
    kept = {key: _harmless(found[key]) for key in names if key in found}
    if "unexpected_count" in kept and "unexpected_percent" not in kept:  # of sets of values; the renderer trips over it
        unexpected = kept.pop("unexpected_count")
        some = ", ".join(map(str, kept.pop("partial_unexpected_list", ())))
        if unexpected:
            kept["observed_value"] = f"{unexpected} unexpected values{': ' if some else ''}{some}"
    return {
        "success": result.get("success"),
        "expectation_config": {
            "type": str(config.get("type")),
            "kwargs": _harmless(kwargs),
            "meta": {},
            "description": _harmless(config.get("description")),
            "severity": config.get("severity") or "critical",
        },
        "result": kept,
        "exception_info": _problem(result.get("exception_info"), hidden),
    }


def _problem(info: Any, hidden: bool) -> dict[str, Any]:
    """An exception's first line, without the trace: it names this machine's folders."""
    entries = [info, *info.values()] if isinstance(info, Mapping) else []
    for entry in entries:
        if isinstance(entry, Mapping) and entry.get("raised_exception"):
            text = (str(entry.get("exception_message") or "unknown error").strip().splitlines() or [""])[0]
            text = "what it says may show hidden values, so it is left out" if hidden else text
            return {"raised_exception": True, "exception_message": _harmless(text), "exception_traceback": ""}
    return {"raised_exception": False, "exception_message": None, "exception_traceback": None}


def _harmless(value: Any) -> Any:
    """Texts without a character that could become markup, lists of a bounded length."""
    if isinstance(value, str):
        text = value if len(value) <= MAX_CHARS else f"{value[:MAX_CHARS]}…"
        return _OWN.sub("\ufffd", text).translate(_HIDE)
    if isinstance(value, Mapping):
        return {_harmless(str(key)): _harmless(item) for key, item in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, (list, tuple)):
        return [_harmless(item) for item in value[:MAX_ITEMS]] + ["…"] * (len(value) > MAX_ITEMS)
    return value


class _Kept(HTMLParser):
    """Of the renderer's page: its sections, without links, scripts, styles and attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._section = self._depth = self._dropped = 0
        self._folded = 0  # depth of what only a script could unfold: traces, batch markers
        self._link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        if tag == "div":
            self._depth += 1
            if not self._section and "ge-section" in classes:
                self._section = self._depth
            if not self._folded and "collapse" in classes:
                self._folded = self._depth
        self._link |= tag == "a" and dict(attrs).get("data-toggle") == "collapse"
        if tag in _DROPPED:
            self._dropped += 1
        if self._shown and tag in _TAGS:
            kept = " ".join(name for name in classes if name in _CLASSES)
            hidden = " hidden" if tag == "thead" and "hidden" in dict(attrs) else ""
            self.parts.append(f'<{tag} class="{kept}">' if kept else f"<{tag}{hidden}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._shown and tag in {"br", "hr"}:
            self.parts.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if self._shown and tag in _TAGS - {"br", "hr"}:
            self.parts.append(f"</{tag}>")
        self._link &= tag != "a"
        if tag in _DROPPED:
            self._dropped = max(0, self._dropped - 1)
        if tag == "div":
            if self._folded == self._depth:
                self._folded = 0
            if self._section == self._depth:
                self._section = 0
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._shown and not self._link:
            self.parts.append(html.escape(data))

    @property
    def _shown(self) -> bool:
        return bool(self._section and not self._dropped and not self._folded)
