"""What a build is asked for: written by `edge.engine.build`, read by its child process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge.contracts import MAX_BATCH, InputShapes, document

USUAL_BATCH = 1


@document("edgeloop.build_request")
@dataclass(frozen=True)
class BuildRequest:
    """One build.

    Attributes:
        runtime: "tensorrt" or "tensorrt_rtx".
        sm: compute capability times ten.
        memory_mb: MiB that it may take.
        shapes: of every input with open axes; none: the first axis of each input is open, and only it, from 1 to
            `MAX_BATCH` and best at `USUAL_BATCH`.
        options: see `edge.engine.versions.OPTIONS`.
    """

    runtime: Literal["tensorrt", "tensorrt_rtx"]
    sm: int
    memory_mb: int
    shapes: tuple[InputShapes, ...] = ()
    options: tuple[str, ...] = ()


def flags_of(shapes: Sequence[InputShapes] = (), options: Sequence[str] = ()) -> str:
    """What the builder is asked, as text: part of every cache key, and of an engine's evidence."""
    taken = ",".join(map(str, shapes)) if shapes else f"batch={USUAL_BATCH}..{MAX_BATCH},{USUAL_BATCH}"
    return ";".join(("strongly-typed", taken, *sorted(options)))
