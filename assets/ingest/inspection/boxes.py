"""Data sets whose labels are boxes in pictures: COCO, YOLO and Pascal VOC. They are recognized, and not read yet."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assets.ingest.inspection.source_files import SourceFiles
from assets.records.batch import LandedFile

_LOOKED_AT = 5
_HEAD = 64 * 1024
_YOLO = re.compile(rb"(\d+( +(0|1|0?\.\d+|1\.0*)){4}\s*\n?)+")
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def labels_of_boxes(files: Sequence[LandedFile], source: SourceFiles) -> str | None:
    """A sentence where the labels of a source are boxes; None where they are not."""
    if not any(file.path.lower().endswith(_PICTURES) for file in files):
        return None
    for kind, suffix, test in (
        ("COCO", ".json", _is_coco),
        ("Pascal VOC", ".xml", _is_voc),
        ("YOLO", ".txt", _is_yolo),
    ):
        named = [file for file in files if file.path.lower().endswith(suffix)]
        if any(test(file, source.head(file, _HEAD)) for file in named[:_LOOKED_AT]):
            return (
                f"its labels are boxes in pictures ({kind}), and boxes are not read yet: only one class for each "
                "picture is; for that, put the pictures into a folder for each class"
            )
    return None


def _is_coco(_: LandedFile, head: bytes) -> bool:
    return b'"bbox"' in head or (b'"images"' in head and b'"annotations"' in head) or b'"file_name"' in head


def _is_voc(_: LandedFile, head: bytes) -> bool:
    return b"<annotation" in head and (b"<bndbox" in head or b"<size" in head)


def _is_yolo(file: LandedFile, head: bytes) -> bool:
    lines = head[: head.rfind(b"\n") + 1] if len(head) == _HEAD else head
    return "labels/" in f"/{file.path}" and bool(lines.strip()) and _YOLO.fullmatch(lines.strip()) is not None
