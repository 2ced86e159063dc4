"""Opens a file of rows, whatever its form, and gives the wanted columns of its rows in blocks.

Its form is told by its content: Parquet, Arrow IPC (Feather), or text with commas, semicolons, tabs or spaces between
cells, plain or packed by gzip. A file is refused as a whole where its header or its form is wrong.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.readers import columnar
from assets.readers.csvblocks import Block, text_blocks
from assets.readers.csvrows import Blocks
from assets.readers.files import Files
from assets.readers.headers import Wanted, headerless, own_names, with_header
from assets.readers.repeated_headers import without_headers
from assets.records.batch import LandedFile
from assets.records.limits import FREE_BYTES, MAX_RATIO
from assets.records.paths import declared_split, shown
from assets.records.reason import Reason, refusal

DELIMITED = (".csv", ".tsv", ".tab")
BINARY = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
PLAIN = (".txt", ".dat", ".data")
_SEP = re.compile(rb'"?sep=([,;\t])"?\r?\n', re.IGNORECASE)
_NAMED = 3
_BOM = b"\xef\xbb\xbf"

REFUSED = {
    b"PK\x03\x04": "it is a zip archive or an Excel workbook, not a table; export it as CSV",
    b"\xd0\xcf\x11\xe0": "it is an Excel workbook, not a table; export it as CSV",
    b"\xff\xfe\x00\x00": "it is UTF-32; save it as UTF-8",
    b"\x00\x00\xfe\xff": "it is UTF-32; save it as UTF-8",
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
    b"FEA1": "it is Feather of version 1; write it as Parquet",
    b"BZh": "it is packed by bzip2; unpack it, or pack it by gzip",
    b"\xfd7zXZ\x00": "it is packed by xz; unpack it, or pack it by gzip",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd; unpack it, or pack it by gzip",
}


def is_named_as_rows(path: str, plain: bool) -> bool:
    """Whether a file is one of rows by its name; `plain` takes .txt, .dat, .data and names without a dot too."""
    name = path.rsplit("/", 1)[-1].lower().removesuffix(".gz")
    return name.endswith((*DELIMITED, *BINARY, *(PLAIN if plain else ()))) or (plain and "." not in name)


def split_of(path: str, splits_from: str | None = None) -> str:
    """The split that a file's first folder declares, else its name: train.csv, test_1.csv; "" for others.

    Args:
        splits_from: the contract's: with "folders" names declare nothing, with "none" folders do not either.
    """
    folder, _, name = path.rpartition("/")
    if splits_from == "none":
        return ""
    if folder and (split := declared_split(folder.split("/", 1)[0])):
        return split
    if splits_from == "folders":
        return ""
    stem = name.split(".", 1)[0].lower()
    first = re.split(r"[-_]", stem, maxsplit=1)[0]
    return declared_split(stem) or (declared_split(first) if first in {"train", "validation", "test"} else None) or ""


def named_splits(paths: Iterable[str], data: DataContract) -> str:
    """A note on files whose name, and no folder, was taken for a split; "" where there are none.

    A contract that says `splits_from` has decided, and gets no note; nor does the form of C-MAPSS (`series.remaining`),
    whose files are named so.
    """
    by_form = data.series is not None and data.series.remaining
    if by_form or data.splits_from is not None or (data.inputs is None and data.text is None):
        return ""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        named = is_named_as_rows(path, plain=data.text is None) and not split_of(path, "folders")
        if named and (split := split_of(path)):
            found[split].append(path)
    if not found:
        return ""
    parts = []
    for split, names in sorted(found.items()):
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        parts.append(f"{', '.join(map(shown, names[:_NAMED]))}{more} for the split {split}")
    return (
        f"A file's own name was taken for a split: {'; '.join(parts)}. If that is meant, set "
        "`data.splits_from: names`; if not, `data.splits_from: folders`, and the names declare nothing."
    )


def read_blocks(file: LandedFile, source: Files, wanted: Wanted) -> Iterator[Block | Reason]:
    """The rows of a file, in order, and a refusal for each that cannot be read, or for the file.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    try:
        empty = True
        with source.open(file) as stream:
            for item in _opened(file, stream, wanted):
                empty = False
                yield item
        if empty:
            raise RejectedError("it has a header, but no rows; export it again with its rows")
    except LandingError:
        raise
    except RejectedError as error:
        yield refusal(file.path, "whole file", str(error))


def _opened(file: LandedFile, stream: BinaryIO, wanted: Wanted) -> Iterator[Block | Reason]:
    head = stream.read(8)
    stream.seek(0)
    for magic, text in REFUSED.items():
        if head.startswith(magic):
            raise RejectedError(text)
    if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        return columnar.typed_blocks(
            file, stream, wanted.read, wanted.numbers, lambda names: own_names(names, wanted), wanted.cell_chars
        )
    if head.startswith(b"\x1f\x8b"):
        stream = cast(BinaryIO, Unpacked(stream, file.size))
    return _text(file.path, stream, wanted)


class Unpacked:
    """Reads what gzip packed. Raises RejectedError where it unpacks to absurdly much, or is damaged."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._file = gzip.GzipFile(fileobj=stream, mode="rb")
        self._most = max(FREE_BYTES, MAX_RATIO * size)
        self._total = 0

    def read(self, count: int) -> bytes:
        """At most `count` bytes; b"" at the end."""
        try:
            data = self._file.read(count)
        except (OSError, EOFError, zlib.error) as error:
            raise RejectedError(f"it is damaged gzip ({error}); pack it again") from error
        self._total += len(data)
        if self._total > self._most:
            raise RejectedError(f"it unpacks to more than {MAX_RATIO} times its size; land it unpacked")
        return data


def _text(path: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Block | Reason]:
    blocks = Blocks(stream)
    first = blocks.take().removeprefix(_BOM)
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RejectedError("it is UTF-16; save it as UTF-8")
    if not first.strip():
        raise RejectedError("the file is empty; copy it again")
    first, skipped = _skipped(first, wanted.skip_lines)
    first, delimiters = without_sep(first)
    if wanted.header:
        layout, line, taken = headerless(first, wanted, delimiters)
    else:
        layout, line, taken = with_header(first, wanted, delimiters)
    blocks.put_back(first[taken:])
    yield from without_headers(path, text_blocks(path, blocks, line + skipped + len(delimiters), layout))


def _skipped(block: bytes, count: int) -> tuple[bytes, int]:
    """A file's first block without so many lines, and how many that were. Raises RejectedError."""
    for _ in range(count):
        _, end, block = block.partition(b"\n")
        if not end:
            raise RejectedError(f"it has no more lines than `skip_lines` ({count}) leaves out; correct one of them")
    return block, count


def without_sep(block: bytes) -> tuple[bytes, str]:
    """A file's first block without the line `sep=;` that tells Excel the delimiter, and that delimiter; else ""."""
    if (found := _SEP.match(block)) is None:
        return block, ""
    return block[found.end() :], found.group(1).decode()
