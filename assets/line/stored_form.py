"""What of a data contract decides how a record is stored: its input's values, its label and its unit. Rules alone.

What only decides what models see of it (a picture's size, a sound's length), what is checked, or how splits are drawn
is no part of it: such settings change while stored records stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assets.line.data import SECTIONS, DataContract

_CHECKED_ONLY = {"max_gap", "max_chars"}
"""Settings of the sections that change what is accepted, and nothing of what is stored."""
_ONLY_SEEN = {"image", "audio"}
"""Sections of records that are stored as the files they came in."""
_MAY_GROW = ("classes", "aliases")
"""What is added there leaves every stored record as it is."""


def stored_form(data: DataContract) -> dict[str, Any]:
    """Everything that decides what is stored of a record, as plain JSON; settings at their default are left out.

    So a setting that a later version adds changes the form of no line that does not use it.
    """
    section = SECTIONS[data.reader]
    body = getattr(data, section).model_dump(mode="json", exclude_defaults=True, exclude=_CHECKED_ONLY)
    form = {} if section in _ONLY_SEEN else body
    return {"section": section, **form, "classes": list(data.classes), "aliases": dict(data.aliases)}


def form_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Why records stored under `before` do not fit `now`, each in a few words; none where they still do.

    A class or an alias more leaves stored records as they are.
    """
    if before.get("section") != now.get("section"):
        return (f"the line reads {now.get('section')} and not {before.get('section')}",)
    found = _columns(before.get("columns", ()), now.get("columns", ()))
    found += _words(before.get("categories", {}), now.get("categories", {}))
    found += _labels(before, now)
    named = {"section", "columns", "categories", *_MAY_GROW}
    for name in sorted((before.keys() | now.keys()) - named):
        if before.get(name) != now.get(name):
            found.append(f"`{name}` was {_shown(before.get(name))} and is {_shown(now.get(name))}")
    return tuple(found)


def _columns(before: Any, now: Any) -> list[str]:
    found = [f"column {name!r} was taken out" for name in before if name not in now]
    found += [f"column {name!r} was added" for name in now if name not in before]
    return found or (["the columns stand in another order"] if list(before) != list(now) else [])


def _words(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if not old or not new:
            found.append(f"column {name!r} {'has words now' if new else 'has no words any more'}")
            continue
        lost, more = [word for word in old if word not in new], [word for word in new if word not in old]
        words = [f"lost {_listed(lost)}"] * bool(lost) + [f"got {_listed(more)}"] * bool(more)
        found.append(f"the words of {name!r} {' and '.join(words) or 'stand in another order'}")
    return found


def _labels(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    old, new = before.get("classes", ()), now.get("classes", ())
    if bool(old) != bool(new):
        return ["classes are predicted and no number" if new else "a number is predicted and no classes"]
    found = [f"class {name!r} was taken out" for name in old if name not in new]
    meant = now.get("aliases", {})
    for spelling, name in before.get("aliases", {}).items():
        if meant.get(spelling, name) != name:
            found.append(f"the spelling {spelling!r} stood for {name!r} and stands for {meant[spelling]!r}")
        elif spelling not in meant and spelling in new and spelling not in old:
            found.append(f"the spelling {spelling!r} stood for {name!r} and is a class of its own")
    return found


def _listed(words: list[str]) -> str:
    return ", ".join(map(repr, words[:5])) + (", …" if len(words) > 5 else "")


def _shown(value: Any) -> str:
    text = "not set" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
