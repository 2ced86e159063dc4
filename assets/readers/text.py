"""The reader `text`: texts with a label each, from tables, or as `.txt` files in class folders.

A text is kept as it is read, its characters unchanged (no Unicode form is forced on it), in UTF-8. Where the contract
names no `header`, a file `<class>/x.txt` is one text. Blank and overlong texts are records all the same: the gate
quarantines them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.readers.cells import renamed, words
from assets.readers.csvblocks import Block
from assets.readers.files import Files
from assets.readers.headers import Wanted
from assets.readers.images import folder_label
from assets.readers.packing import Packed, pooled, to_chunk, to_tables
from assets.readers.rows import is_named_as_rows, read_blocks, split_of
from assets.readers.tables import NOT_A_TABLE
from assets.readers.text_features import DIMENSIONS, lettering
from assets.records.batch import LandedFile
from assets.records.limits import MAX_TEXT_CHARS
from assets.records.reason import Reason, refusal
from assets.records.record import Record

TEXT = "text"
"""Name of the fact that is the text, in notes."""


def read_texts(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[Record | pa.Table | Reason]:
    """A record for each text, a refusal for each row or file that has none.

    Args:
        data: the line's contract, with its section `text`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    assert data.text is not None
    rows = []
    for file in files:
        if not data.text.header and file.path.lower().endswith(".txt"):
            yield _whole(file, source, data)
        elif is_named_as_rows(file.path, plain=bool(data.text.header)):
            rows.append(file)
        else:
            yield refusal(file.path, "its name", NOT_A_TABLE)
    yield from pooled(_tables(rows, source, data))


def text_id(text: bytes) -> str:
    """SHA-256 (hex) of a text's UTF-8 bytes."""
    return hashlib.sha256(text).hexdigest()


def record_of(
    stored: bytes, label: str, split: str, file: str, group: str, time: float | None, data: DataContract
) -> Record:
    """A text as a record, of its UTF-8 bytes; see `Record`. Raises RejectedError where they are no text."""
    assert data.text is not None
    try:
        text = stored.decode()
    except UnicodeDecodeError as error:
        raise RejectedError("it is not UTF-8; save it as UTF-8") from error
    if "\0" in text:
        raise RejectedError("it has NUL bytes; save it as UTF-8 text")
    if len(text) > MAX_TEXT_CHARS:
        raise RejectedError(f"it has {len(text):,} characters, at most {MAX_TEXT_CHARS:,} are read; split it")
    found = lettering([text])
    problem = _problem(text, len(text), data.text.max_chars)
    facts: dict[str, float | str | None] = {
        "chars": float(found.chars[0]),
        "words": float(found.words[0]),
        "letters": float(found.letters[0]),
        TEXT: text,
    }
    embedding = found.embeddings[0] if text.strip() else None
    label = label.strip() if data.cells.trim else label
    label = data.aliases.get(label, label)
    notes = {TEXT: problem} if problem else {}
    return Record(text_id(stored), label, split, file, stored, group, time, facts, notes, embedding)


def _problem(text: str, chars: int, most: int) -> str:
    if not text.strip():
        return "the text is blank"
    return f"the text has {chars:,} characters, at most {most:,} are allowed" if chars > most else ""


def _whole(file: LandedFile, source: Files, data: DataContract) -> Record | Reason:
    """A file that is one text, of the class that its folder names."""
    try:
        split, label = folder_label(file.path)
        split = "" if data.splits_from == "none" else split
        content = source.read(file, 4 * MAX_TEXT_CHARS + 3)
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise RejectedError("it is UTF-16; save it as UTF-8")
        content = content.removeprefix(b"\xef\xbb\xbf")
        return record_of(content, label, split, file.path, "", None, data)
    except LandingError:
        raise
    except RejectedError as error:
        # One record, not a file of many: its share of the batch counts, and no more than that.
        return refusal(file.path, "whole text", str(error).replace("put pictures", "put texts"))


def _tables(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[pa.Table | Reason]:
    text = data.text
    assert text is not None
    wanted = Wanted(
        TEXT,
        (text.target, text.column),
        frozenset(),
        text.target,
        text.header,
        MAX_TEXT_CHARS,
        skip_lines=text.skip_lines,
        cells=data.cells,
    )
    for file in files:
        split = split_of(file.path, data.splits_from)
        make = partial(_chunk, path=file.path, split=split, data=data)
        yield from to_tables(file.path, read_blocks(file, source, wanted), make)


def _chunk(block: Block, path: str, split: str, data: DataContract) -> pa.Table:
    assert data.text is not None
    cells = words(block.columns[data.text.column], data.cells)
    texts = cells.to_pylist()
    found = lettering(texts)
    packed = Packed(len(texts))
    most = data.text.max_chars
    problems = {row: problem for row, text in enumerate(texts) if (problem := _problem(text, len(text), most))}
    packed.note(TEXT, problems)
    packed.facts = [*(pa.array(values) for values in (found.chars, found.words, found.letters)), cells]
    inputs = cells.cast(pa.binary())
    packed.ids = b"".join(hashlib.sha256(raw).digest() for raw in inputs.to_pylist())
    packed.labels = renamed(words(block.columns[data.text.target], data.cells), data.aliases)
    packed.inputs = inputs
    packed.embeddings = _embeddings(found.embeddings)
    return to_chunk(packed, data, split, path, block.places)


def _embeddings(vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> pa.Array:
    """Rows of (texts, DIMENSIONS) as lists; null where a text is blank."""
    blank = ~vectors.any(axis=1)
    offsets = pa.array(np.arange(len(vectors) + 1, dtype=np.int32) * np.int32(DIMENSIONS))
    lists = pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))
    return lists if not blank.any() else pc.if_else(pa.array(blank), pa.scalar(None, lists.type), lists)
