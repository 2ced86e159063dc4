"""A sheet of sample pictures, a row for each class."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from assets.errors import RejectedError
from assets.records.paths import shown

ACROSS, DOWN = 8, 12
"""Pictures of a class, and classes, on a sheet."""
_SIDE, _GAP, _LABEL = 96, 4, 120


def draw_grid(samples: Mapping[str, Sequence[bytes]]) -> bytes | None:
    """PNG of picture files by class; None where there is none that can be drawn."""
    from PIL import Image, ImageDraw

    from edge.runtime.preprocess import read_picture

    rows = [(label, files[:ACROSS]) for label, files in list(samples.items())[:DOWN] if files]
    if not rows:
        return None
    width = _LABEL + ACROSS * (_SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, len(rows) * (_SIDE + _GAP) + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (label, files) in enumerate(rows):
        top = _GAP + row * (_SIDE + _GAP)
        text = shown(label)[1:-1].encode("ascii", "backslashreplace").decode()  # the built-in font has no more letters
        pen.text((_GAP, top + _SIDE // 2 - 6), text[:18], fill="black")
        for column, content in enumerate(files):
            try:
                _, picture = read_picture(content, 3)
            except RejectedError:
                continue
            scale = _SIDE / max(picture.size)
            size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
            small = picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR)
            left = _LABEL + column * (_SIDE + _GAP) + (_SIDE - size[0]) // 2
            sheet.paste(small, (left, top + (_SIDE - size[1]) // 2))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
