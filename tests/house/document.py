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
LOOKED_FOR: tuple[tuple[str, str], ...] = (
    ("the pixel limit before a picture is decoded", "edge/runtime/inputs/pictures.py"),
    ("the EXIF rule that device and training share", "edge/runtime/inputs/pictures.py"),
    ("refusing an opcode of a pickle", "assets/readers/pickle_opcodes.py"),
    ("how a record gets its split", "assets/records/splits.py"),
    ("an expectation from a column's range in the contract", "assets/quality/rules_by_kind.py"),
    ("the threshold of the population stability index", "assets/line/quality.py"),
    ("near-duplicate pictures", "assets/quality/checks/near_duplicates.py"),
    ("labels that are probably wrong", "assets/quality/checks/label_suspects.py"),
    ("a waiver that expires", "assets/review/waivers.py"),
    ("quarantined records coming back as a batch", "assets/review/returns.py"),
    ("the hash-chained audit log", "assets/storage/audit.py"),
    ("the HMAC of a column", "assets/ingest/privacy/pseudonyms.py"),
    ("forgetting a record everywhere", "assets/forgetting/forget.py"),
    ("encryption of stored records", "assets/storage/sealed.py"),
    ("a key that is created once", "assets/storage/store.py"),
    ("which key a document is stored under", "assets/storage/layout.py"),
    ("the sensor that starts judging", "platform_defs/automation/sensors.py"),
    ("claims that tie batches to one retrain", "assets/training/triggers/claims.py"),
    ("the cool-down of retrains", "assets/training/triggers/policy.py"),
    ("ending a step's grandchildren", "assets/processes/supervisor.py"),
    ("a step in a pod", "assets/processes/pods.py"),
    ("writing and resuming checkpoints", "assets/fitting/checkpoints.py"),
    ("focal loss", "assets/tasks/class_losses.py"),
    ("mixup", "assets/fitting/augment.py"),
    ("early stopping", "assets/fitting/early_stopping.py"),
    ("the effective batch over processes", "assets/fitting/distributed_batches.py"),
    ("the search space of hyperparameters", "assets/training/tuning/search.py"),
    ("epsilon", "assets/fitting/differential_privacy.py"),
    ("the calibration figure", "assets/training/card/figures.py"),
    ("Grad-CAM", "assets/training/explain/attribute.py"),
    ("channel pruning", "assets/compression/prune/channels.py"),
    ("pruning attention heads", "assets/compression/prune/heads.py"),
    ("the distillation loss", "assets/compression/students/distill.py"),
    ("INT8 ranges by entropy", "assets/compression/quantize/entropy.py"),
    ("TensorRT's Q/DQ dialect", "assets/compression/quantize/dialects.py"),
    ("layers back in float (mixed precision)", "assets/compression/formats/mixed_precision.py"),
    ("the choice under the budget", "assets/compression/choosing/choose.py"),
    ("the plot of the front", "assets/compression/page/front_plot.py"),
    ("the lint rule for the opset", "assets/compilation/lint/opset_checks.py"),
    ("a TensorRT-RTX plan, built in a child", "edge/engine/build_child.py"),
    ("the golden self-test", "edge/runtime/selftest.py"),
    ("signing a release", "assets/release/repository.py"),
    ("pointing a group at a release", "assets/rollout/promote.py"),
    ("the signature of a report", "edge/contracts/envelope.py"),
    ("the review site's guard of hosts and forms", "platform_defs/web/guard.py"),
    ("the demo's three batches", "platform_defs/demo/data.py"),
)
"""Behaviours that people look for, and the file that has them."""

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


def document() -> str:
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
    parts.append("".join(f"| {what} | `{path}` |\n" for what, path in LOOKED_FOR))
    return "".join(parts)


def _paragraph(room: Room) -> str:
    path = room.name.replace(".", "/")
    readme = ROOT / path / "README.md"
    text = _first_paragraph(readme.read_text()) if readme.is_file() else ""
    name = path if (ROOT / path).is_dir() else f"{path}.py"
    return textwrap.fill(f"**`{name}`** {room.purpose} {text}".rstrip(), 120, break_on_hyphens=False) + "\n"


def _first_paragraph(text: str) -> str:
    """The first block of a README that is prose, without what only leads over to a list."""
    plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    blocks = (" ".join(block.split()) for block in re.split(r"\n\s*\n", plain))
    prose = next((block for block in blocks if block and not block.startswith(("#", "|", "`", "- "))), "")
    return prose if not prose.endswith(":") else prose.rpartition(". ")[0] + "." * (". " in prose)


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
.n{{font-size:13px;font-weight:600;text-anchor:middle;fill:#15233a}}
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


if __name__ == "__main__":
    (ROOT / "docs/house.md").write_text(document())
    (ROOT / "docs/house.svg").write_text(picture())
