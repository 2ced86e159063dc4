"""A message that is read while it is written comes back whole."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from assets.processes.messages import whole_lines


@given(
    lines=st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"")), max_size=8),
    cuts=st.lists(st.integers(0, 300), max_size=12),
    cut_off=st.booleans(),
)
def test_lines_come_whole_however_the_writer_is_cut(lines: list[bytes], cuts: list[int], cut_off: bool) -> None:
    written = b"".join(line + b"\n" for line in lines) + (b"half a mess" if cut_off else b"")
    places = sorted({min(cut, len(written)) for cut in cuts} | {0, len(written)})
    pieces = [written[start:stop] for start, stop in itertools.pairwise(places)]

    class Growing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return pieces.pop(0) if pieces else b""

    assert list(whole_lines(Growing(), lambda: not pieces)) == lines


def test_what_is_written_last_is_read(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_bytes(b"first\nsec")
    with path.open("rb") as file, path.open("ab") as writer:
        asked = 0

        def is_over() -> bool:
            nonlocal asked
            asked += 1
            if asked == 3:  # the process writes, and ends, between a read that found nothing and this question
                writer.write(b"ond\nthird\n")
                writer.flush()
            return asked >= 3

        found = list(whole_lines(file, is_over))
    assert found == [b"first", b"second", b"third"]
