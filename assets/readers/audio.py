"""The reader `audio_folder`: WAV, FLAC and Ogg sounds in `<class>/` or `<split>/<class>/`, told by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from assets.errors import LandingError, RejectedError
from assets.line.data import DataContract
from assets.readers.audio_features import sound_embedding, sound_facts
from assets.readers.files import Files
from assets.readers.images import folder_label
from assets.readers.pool import Room, in_order
from assets.readers.sounds import read_sound, size_of
from assets.readers.wav import Sound
from assets.records.batch import LandedFile
from assets.records.limits import MAX_IMAGE_BYTES
from assets.records.reason import Reason, refusal
from assets.records.record import Record

_BYTES = Room(2 * MAX_IMAGE_BYTES)
"""Bytes of sound files that are decoded at once; decoded they take about ten times as much."""


def read_audio(files: Sequence[LandedFile], source: Files, data: DataContract) -> Iterator[Record | Reason]:
    """A record for each sound, a refusal for each file that is none; decoded on all cores, given in order.

    A folder that is no class of the line still gives records: the gate quarantines them, so they can come back.

    Args:
        data: the line's contract, with its section `audio`.

    Raises:
        LandingError: `source` found a fault of the landing zone, which says nothing about the data.
    """
    assert data.audio is not None
    yield from in_order(partial(_item, source=source, data=data), files)


def sound_id(sound: Sound) -> str:
    """SHA-256 (hex) of a sound's samples as float32, with rate and channels: storing it in more bits keeps it."""
    head = f"{sound.rate}x{sound.samples.shape[1]}".encode() + b"\0"
    return hashlib.sha256(head + np.ascontiguousarray(sound.samples, dtype="<f4").tobytes()).hexdigest()


def record_of(
    stored: bytes, label: str, split: str, file: str, group: str, time: float | None, data: DataContract
) -> Record:
    """A sound as a record, of its file's bytes; see `Record`. Raises RejectedError where they are no sound."""
    with _BYTES.reserve(size_of(stored)):
        sound = read_sound(stored)
        return Record(
            sound_id(sound),
            data.aliases.get(label, label),
            split,
            file,
            stored,
            group=group,
            facts=dict(sound_facts(sound)),
            embedding=sound_embedding(sound),
        )


def _item(file: LandedFile, source: Files, data: DataContract) -> Record | Reason:
    try:
        split, label = folder_label(file.path)
        return record_of(source.read(file, MAX_IMAGE_BYTES), label, split, file.path, "", None, data)
    except LandingError:
        raise
    except RejectedError as error:
        return refusal(file.path, "whole file", str(error).replace("put pictures", "put sounds"))
