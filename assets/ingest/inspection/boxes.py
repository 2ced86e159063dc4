"""Data sets whose labels are boxes, outlines or masks in pictures. They are recognized, and not read yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from assets.errors import RejectedError
from assets.ingest.inspection.source_files import SourceFiles
from assets.records.batch import LandedFile
from assets.records.limits import MAX_IMAGE_BYTES

_LOOKED_AT = 5
_HEAD = 64 * 1024
_PART = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_YOLO = re.compile(rf"\d+(?:[ \t]+{_PART}){{4}}".encode())
_OUTLINE = re.compile(rf"\d+(?:[ \t]+{_PART}[ \t]+{_PART}){{3,}}".encode())
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
_CORNERS = (
    {"xmin", "ymin", "xmax", "ymax"},
    {"x1", "y1", "x2", "y2"},
    {"left", "top", "right", "bottom"},
    {"left", "top", "width", "height"},
    {"x", "y", "w", "h"},
    {"x", "y", "width", "height"},
    {"bboxx", "bboxy", "bboxwidth", "bboxheight"},
    {"bbox"},
    {"boundingbox"},
)
_RUNS = {"encodedpixels", "rle", "segmentation", "mask"}
_MASK_FOLDER = re.compile(
    r"(gt|ground[ _-]?truth|seg|segmentation([ _-]?(class|object))?)?[ _-]?(masks?|gt|truth)?|labels?|annotations?",
    re.I,
)
_MASK_ENDS = re.compile(r"[ _-](masks?|seg|segmentation|gt|label|labelids|color)$", re.I)
_SHARE = 0.5
_COLOURS = 32

Test = Callable[[bytes], bool]


def labels_of_boxes(files: Sequence[LandedFile], source: SourceFiles) -> str | None:
    """A sentence where the labels of a source are boxes, outlines or masks; None where they are not."""
    pictures = [file for file in files if file.path.lower().endswith(_PICTURES)]
    if not pictures:
        return None
    stems = {PurePosixPath(file.path).stem for file in pictures}
    tests: list[tuple[str, str, str, Test]] = [
        ("boxes", "COCO", ".json", _is_coco),
        ("outlines", "labelme or VIA", ".json", _is_outlines),
        ("boxes", "CreateML", ".json", lambda head: b'"coordinates"' in head and b'"annotations"' in head),
        ("boxes", "Pascal VOC", ".xml", _is_voc),
        ("boxes", "a table of them", ".csv", lambda head: _names_corners(head, _CORNERS)),
        ("masks", "a table of them", ".csv", lambda head: _names_corners(head, [{name} for name in _RUNS])),
    ]
    for what, kind, suffix, test in tests:
        named = [file for file in files if file.path.lower().endswith(suffix) and file.size]
        if any(test(source.head(file, _HEAD)) for file in named[:_LOOKED_AT]):
            return _not_read(what, kind)
    beside = [file for file in files if file.path.lower().endswith(".txt") and file.size]
    beside = [file for file in beside if PurePosixPath(file.path).stem in stems or "labels/" in f"/{file.path}"]
    texts = [_lines(source.head(file, _HEAD)) for file in beside[:_LOOKED_AT]]
    for what, form in (("boxes", _YOLO), ("outlines", _OUTLINE)):
        if any(lines and all(map(form.fullmatch, lines)) for lines in texts):
            return _not_read(what, "YOLO")
    return None


def masks_of(files: Sequence[LandedFile], source: SourceFiles) -> list[LandedFile]:
    """Pictures that are masks of other pictures: by folder or the end of their names, and few colours; else none."""
    pictures = [file for file in files if file.path.lower().endswith(_PICTURES)]
    found = [file for file in pictures if _in_mask_folder(file) or _MASK_ENDS.search(PurePosixPath(file.path).stem)]
    kept = set(found)
    masked, others = ({_bare(file) for file in part} for part in (found, (f for f in pictures if f not in kept)))
    if not found or len(masked & others) < _SHARE * len(masked):
        return []
    step = max(1, len(found) // _LOOKED_AT)
    return found if all(_has_few_colours(file, source) for file in found[::step][:_LOOKED_AT]) else []


def masks_told(masks: Sequence[LandedFile], *, alone: bool) -> str:
    """What people should know of masks; `alone` where there is nothing else to learn from."""
    where = PurePosixPath(masks[0].path).parent
    if alone:
        return _not_read("masks", f"{where}/")
    return f"{len(masks):,} pictures are masks of others ({where}/ …), which are not read yet; leave them out"


def _not_read(what: str, kind: str) -> str:
    return (
        f"its labels are {what} in pictures ({kind}), and {what} are not read yet: only one class for each picture is; "
        "for that, put the pictures into a folder for each class"
    )


def _is_coco(head: bytes) -> bool:
    return b'"bbox"' in head or (b'"images"' in head and b'"annotations"' in head) or b'"file_name"' in head


def _is_outlines(head: bytes) -> bool:
    return (b'"shapes"' in head and b'"points"' in head) or b'"shape_attributes"' in head or b'"polygon"' in head


def _is_voc(head: bytes) -> bool:
    return b"<annotation" in head and (b"<bndbox" in head or b"<size" in head)


def _names_corners(head: bytes, wanted: Sequence[set[str]]) -> bool:
    """Whether the first line of a text names all of one of these sets, whatever signs and spaces it has."""
    line = head.partition(b"\n")[0].decode("utf-8", "replace").lower()
    names = {re.sub(r"[\W_]", "", cell) for cell in re.split(r"[,;\t]", line)}
    return any(names >= group for group in wanted)


def _lines(head: bytes) -> list[bytes]:
    whole = head[: head.rfind(b"\n") + 1] if len(head) == _HEAD else head
    return [line.strip() for line in whole.splitlines() if line.strip()]


def _in_mask_folder(file: LandedFile) -> bool:
    return any(part and _MASK_FOLDER.fullmatch(part) for part in PurePosixPath(file.path).parent.parts)


def _has_few_colours(file: LandedFile, source: SourceFiles) -> bool:
    from edge.runtime.preprocess import read_picture

    try:
        _, picture = read_picture(source.read(file, MAX_IMAGE_BYTES), 3)
    except RejectedError:
        return False
    return picture.getcolors(_COLOURS) is not None


def _bare(file: LandedFile) -> str:
    return _MASK_ENDS.sub("", PurePosixPath(file.path).stem)
