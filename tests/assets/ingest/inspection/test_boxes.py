"""Boxes, outlines and masks are said not to be read, whatever their form; class folders are never taken for them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from assets.ingest.inspection.inspect import Inspection, inspect_source
from assets.line.data import DataContract

Png = Callable[..., bytes]
LABELME = json.dumps({"shapes": [{"label": "a", "points": [[1, 2], [3, 4]]}], "imagePath": "1.png"}).encode()
VIA = json.dumps({"1.png": {"regions": [{"shape_attributes": {"name": "polygon"}}]}}).encode()


def look(folder: Path, files: dict[str, bytes]) -> Inspection:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return inspect_source(folder)


def mask(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture = Image.new("L", (16, 16), 0)
    picture.paste(255, (seed % 8, 2, 12, 12))
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("what", "name", "content"),
    [
        ("boxes in pictures (YOLO)", "{}.txt", b"0 0.5 0.5 0.2 0.2\n1 0.1 0.2 0.3 1\n"),
        ("boxes in pictures (YOLO)", "set/{}.txt", b"0 0.500000 .5 2e-1 0.2"),
        ("outlines in pictures (YOLO)", "{}.txt", b"0 0.5 0.5 0.2 0.2 0.7 0.8\n"),
        ("outlines in pictures (YOLO)", "labels/{}.txt", b"0 0.5 0.5 0.2 0.2 0.7 0.8 0.1 0.1\n"),
        ("outlines in pictures (labelme or VIA)", "{}.json", LABELME),
        ("outlines in pictures (labelme or VIA)", "via.json", VIA),
        (
            "boxes in pictures (a table of them)",
            "train.csv",
            b"filename,xmin,ymin,xmax,ymax,class\n1.png,1,2,3,4,cat\n",
        ),
        ("boxes in pictures (a table of them)", "boxes.csv", b"image_id;width;height;bbox;source\n1;9;9;[1,2,3,4];a\n"),
        ("boxes in pictures (a table of them)", "x.csv", b"Image,X_min,Y_min,X_max,Y_max\n1.png,1,2,3,4\n"),
        ("masks in pictures (a table of them)", "train.csv", b"ImageId,EncodedPixels\n1.png,1 3 9 4\n"),
    ],
)
def test_boxes_and_outlines_of_any_form_are_said(
    tmp_path: Path, png: Png, what: str, name: str, content: bytes
) -> None:
    pictures = {f"{'set/' if name.startswith('set/') else ''}{at}.png": png(at) for at in range(4)}
    found = look(tmp_path / "in", {**pictures, **{name.format(at): content for at in range(4)}, "notes.txt": b"hi"})
    assert (found.data, found.records) == ("", 0)
    assert found.notes[0].startswith(f"its labels are {what}, and ")
    assert "put the pictures into a folder for each class" in found.notes[0]


@pytest.mark.parametrize("folder", ["masks", "mask", "ground_truth", "SegmentationClass", "gt", "labels", "GT_masks"])
def test_folders_of_masks_are_said(tmp_path: Path, png: Png, folder: str) -> None:
    files = {f"images/{at}.png": png(at) for at in range(4)} | {f"{folder}/{at}.png": mask(at) for at in range(4)}
    found = look(tmp_path / "in", files)
    assert found.data == ""
    assert f"masks in pictures ({folder}/)" in found.notes[0]
    beside = {f"all/{at}.png": png(at) for at in range(4)} | {f"all/{at}_mask.png": mask(at) for at in range(4)}
    assert "masks in pictures" in look(tmp_path / "beside", beside).notes[0]


def test_masks_beside_class_folders_are_left_out(tmp_path: Path, png: Png) -> None:
    files = {f"train/good/{at}.png": png(at) for at in range(4)}
    files |= {f"test/broken/{at}.png": png(at + 50) for at in range(4)}
    files |= {f"ground_truth/broken/{at}_mask.png": mask(at) for at in range(4)}
    found = look(tmp_path / "in", files)
    assert DataContract.model_validate(yaml.safe_load(found.data)["data"]).classes == ("good", "broken")
    assert "4 pictures are masks of others" in found.notes[0]


def test_faces_with_a_mask_are_a_class(tmp_path: Path, png: Png) -> None:
    files = {f"{kind}/{at}.png": png(at + 50 * (kind == "mask")) for kind in ("mask", "no_mask") for at in range(4)}
    found = look(tmp_path / "in", files)
    assert DataContract.model_validate(yaml.safe_load(found.data)["data"]).classes == ("mask", "no_mask")


def test_tables_and_texts_without_pictures_are_no_boxes(tmp_path: Path) -> None:
    rows = "".join(f"{at},{at * 7 % 11},{at * 5 % 13},{at % 9},{'ab'[at % 2]}\n" for at in range(60))
    found = look(tmp_path / "in", {"x.csv": f"x1,y1,x2,y2,label\n{rows}".encode()})
    assert found.reader == "table"


def test_several_data_sets_in_one_folder_are_said(tmp_path: Path, png: Png) -> None:
    pictures = {f"{top}/train/{kind}/{at}.png": png(at) for top in ("one", "two") for kind in "ab" for at in range(2)}
    found = look(tmp_path / "pictures", pictures)
    assert found.data == ""
    assert "its folders ('one', 'two') seem to be data sets of their own: name one of them" in found.notes[0]
    rows = "x,label\n" + "".join(f"{at * 7 % 11},{'ab'[at % 2]}\n" for at in range(30))
    mixed = {f"cats/{at}.png": png(at) for at in range(3)} | {"sales/a.csv": rows.encode()}
    notes = look(tmp_path / "mixed", mixed).notes
    assert any("several data sets, as it seems: 'cats' (image_folder), 'sales' (rows)" in note for note in notes)
