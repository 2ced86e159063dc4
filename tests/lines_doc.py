"""Writes `docs/lines.md` from the line's own schema: `python -m tests.lines_doc > docs/lines.md`."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Iterator
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from assets.line.config import LineConfig

HEAD = """\
# A line, field by field

A line is `platform_defs/lines/<name>/defs.yaml`: `type: platform_defs.components.ModelLine` and the `attributes` below.
Fields without a default must be given. Shares and drops are fractions: 0.01 is one point of a hundred.
`edgeloop inspect SOURCE` looks at data and writes the section `data` for it, ready to paste.

## An example

```yaml
type: platform_defs.components.ModelLine
attributes:
  description: Machines that fail, or do not.
  data:
    reader: table
    classes: ["0", "1"]
    table:
      target: Machine failure
      columns: [Type, "Torque [Nm]", "Tool wear [min]"]
      categories: { Type: [L, M, H] }
    privacy: { drop: [Product ID], private: ["Torque [Nm]"] }
  quality:
    max_bad_share: 0.02
    expectations:
      - { expect: ExpectColumnValuesToBeBetween, column: "Torque [Nm]", min_value: 0, max_value: 100 }
      - { expect: ExpectColumnMeanToBeBetween, column: "Tool wear [min]", max_value: 200, severity: warning }
      - { expect: ExpectColumnValuesToBeInSet, column: Type, value_set: [L], mostly: 0.3, severity: warning }
    drift: { action: warn }
  model: { family: mlp }
  profiles:
    debug:
      training: { epochs: 2 }
```

`--profile debug`, or EDGELOOP_PROFILE=debug for every command, the daemon and the UI, takes the line with what the
profile says in place of its own fields; what it does not name stays. Such a profile has a state of its own, below
`profiles/debug` of the home. `full` is the line as it stands.

Numbers are 1234.5, times ISO 8601 and words exact, unless the section says how its cells are written:
`cells: { decimal: ",", thousands: ".", day_first: true, trim: true }` reads 1.234,5 and 31.12.2024 23:59. A cell that
does not fit is bad, by row; `edgeloop inspect` fills `cells` in where the data leave no doubt.

An expectation without `mostly` is asked of each record: one that breaks it is set aside. With `mostly`, or where it is
about the column as a whole (a mean, a set of distinct values), it is asked of the batch: `critical` blocks it,
`warning` is only reported.

Columns go by the names in the data. Pictures have width, height, mode, format, brightness, contrast, sharpness and
entropy; sounds rate, channels, seconds, loudness, peak, clipped and silent; texts chars, words, letters and text; all
have label, split, file, group and time. A line without `model` checks and collects data only.
"""


LIMITS = ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"), (Lt, "lt", "below"))


def document() -> str:
    """The whole document."""
    return "\n".join([HEAD, *_section("The line", LineConfig, "")]).rstrip("\n") + "\n"


def _section(title: str, model: type[BaseModel], place: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| field | default | allowed | meaning |\n|---|---|---|---|"
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        found = _model_of(field.annotation)
        if found is not None:
            inner.append((f"{place}{name}", found))
        cells = (f"`{place}{name}`", _default(field, found), _allowed(field), field.description or "")
        yield f"| {' | '.join(cells)} |"
    yield ""
    for path, found in inner:
        yield from _section(f"`{path}`", found, f"{path}.")


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _default(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    if field.is_required():
        return "required"
    return "optional" if inner is not None else f"`{field.get_default(call_default_factory=True)}`"


def _allowed(field: FieldInfo) -> str:
    words = []
    choices = _choices(field.annotation)
    if choices:
        words.append(f"one of {', '.join(choices)}")
    counted = typing.get_origin(field.annotation) in {tuple, collections.abc.Mapping}
    what = " (entries)" if counted else " (characters)"
    for limit in field.metadata:
        for kind, key, text in LIMITS:
            if isinstance(limit, kind):
                words.append(f"{text} {getattr(limit, key):,}")
        if isinstance(limit, MinLen):
            words.append(f"at least{what} {limit.min_length:,}")
        if isinstance(limit, MaxLen):
            words.append(f"at most{what} {limit.max_length:,}")
        if isinstance(limit, MultipleOf):
            words.append(f"a multiple of {limit.multiple_of}")
    return ", ".join(words)


def _choices(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return [_shown(value) for value in typing.get_args(annotation)]
    return [word for part in typing.get_args(annotation) for word in _choices(part)]


def _shown(value: Any) -> str:
    """A choice as it is written; a mark or nothing in quotes, as only then it can be seen."""
    text = str(value)
    return text if text[:1].isalnum() else f'`"{text}"`'


if __name__ == "__main__":
    print(document(), end="")
