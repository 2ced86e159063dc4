"""Writes `docs/house.md` and `docs/house.svg` from the plan that the tests enforce: `python -m tests.house.document`.

The paragraph on a room is the first one of its README, so that each is written once.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tests.house.plan import CELLAR, CONDUCTORS, DATA_WING, DEVICE, MODEL_WING, WIRING, Room

ROOT = Path(__file__).parents[2]
WIDTH, GAP, BOX, LEFT = 1120, 10, 34, 20
HEAD = """\
# The house

Two wings over one cellar. *Documents are leaves; a door is walked through from outside only; libraries below, stages in
the middle, conductors on top.* What a room needs lies below it or to its left; the wings do not know each other.
`tests/test_house.py` holds the code to this page, which is made from the same list: `python -m tests.house.document`.

![the rooms, from the device at the bottom to the command line on top](house.svg)

Feedback comes back through storage, never through an import: what the gate and the trainer must know of the model in
use is read, narrowly, from what training and release stored (`assets/records/in_use.py`). `assets/line/tasks.py` finds
`tasks/*/spec.py` by their folder, the one thing that is not imported by name.
"""


def document(looked_for: Sequence[tuple[str, str]] = ()) -> str:
    """The page."""
    parts = [HEAD]
    for title, rooms in (
        ("The cellar", CELLAR),
        ("The data wing", DATA_WING),
        ("The model wing", MODEL_WING),
        ("The conductors", CONDUCTORS),
        ("The wiring", WIRING),
        ("The device", DEVICE),
    ):
        parts.append(f"\n## {title}\n\n" + "\n".join(_paragraph(room) for room in rooms))
    parts.append("\n## Where do I look for ...\n\n| what | where |\n|---|---|\n")
    parts.append("".join(f"| {what} | `{path}` |\n" for what, path in looked_for or LOOKED_FOR))
    return "".join(parts)


def _paragraph(room: Room) -> str:
    path = room.name.replace(".", "/")
    readme = ROOT / path / "README.md"
    text = _first_paragraph(readme.read_text()) if readme.is_file() else ""
    name = path if (ROOT / path).is_dir() else f"{path}.py"
    return textwrap.fill(f"**`{name}`** {text or room.purpose}", 120, break_on_hyphens=False) + "\n"


def _first_paragraph(text: str) -> str:
    """The first block of a README that is prose."""
    blocks = (block.strip() for block in re.split(r"\n\s*\n", text))
    return next(
        (" ".join(block.split()) for block in blocks if block and not block.startswith(("#", "|", "`", "-"))), ""
    )


def picture() -> str:
    """The rooms as boxes, SVG."""
    half = (WIDTH - 2 * LEFT - GAP) // 2
    rows: list[tuple[str, Sequence[Room], int, int, int, str]] = []
    bottom = 60 + 8 * (BOX + GAP)
    rows.append(("platform_defs: the wiring", WIRING, LEFT, 40, WIDTH - 2 * LEFT, "w"))
    rows.append(("assets: on top", CONDUCTORS, LEFT, 150, WIDTH - 2 * LEFT, "t"))
    rows.append(("the data wing", DATA_WING, LEFT, 225, half, "a"))
    rows.append(("the model wing", MODEL_WING, LEFT + half + GAP, 225, half, "b"))
    rows.append(("the cellar", CELLAR, LEFT, bottom - 78, WIDTH - 2 * LEFT, "c"))
    rows.append(("edge: what runs on a device", DEVICE, LEFT, bottom - 3, WIDTH - 2 * LEFT, "d"))
    boxes = "\n".join(_row(*row) for row in rows)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 64}" role="img" aria-label="The house">
<style>
svg{{font-family:system-ui,sans-serif;background:#fff}}
rect{{stroke-width:1.2}}
.w rect{{fill:#f3f1fa;stroke:#6a55b0}}.t rect{{fill:#fff6e5;stroke:#b07a1c}}.a rect{{fill:#e9f7ee;stroke:#2b8a4b}}
.b rect{{fill:#eef4fb;stroke:#2f6db5}}.c rect{{fill:#f2f3f5;stroke:#5b6675}}.d rect{{fill:#fdf0ee;stroke:#c0492f}}
.n{{font-size:14px;font-weight:600;text-anchor:middle;fill:#15233a}}
.h{{font-size:13px;fill:#4a5a73}}
</style>
<rect width="{WIDTH}" height="{bottom + 64}" style="fill:#fff;stroke:none"/>
{boxes}
</svg>
"""


def _row(title: str, rooms: Sequence[Room], left: int, top: int, width: int, kind: str) -> str:
    """A title and the rooms under it, from left to right as they stand on each other, in lines of at most seven."""
    per_line = min(len(rooms), 7 if width > WIDTH // 2 else 5)
    lines = -(-len(rooms) // per_line)
    across = -(-len(rooms) // lines)
    box = (width - (across - 1) * GAP) / across
    parts = [f'<g class="{kind}"><text class="h" x="{left}" y="{top - 8}">{escape(title)}</text>']
    for at, room in enumerate(rooms):
        x, y = left + (at % across) * (box + GAP), top + (at // across) * (BOX + 4)
        name = room.name.rpartition(".")[2]
        middle, tip = x + box / 2, escape(room.purpose)
        parts.append(f'<rect x="{x:.0f}" y="{y}" width="{box:.0f}" height="{BOX}" rx="6"/>')
        parts.append(f'<text class="n" x="{middle:.0f}" y="{y + 22}">{escape(name)}<title>{tip}</title></text>')
    return "\n".join([*parts, "</g>"])


LOOKED_FOR: tuple[tuple[str, str], ...] = ()
"""Behaviours that people look for, and the file that has them."""


if __name__ == "__main__":
    (ROOT / "docs/house.md").write_text(document())
    (ROOT / "docs/house.svg").write_text(picture())
