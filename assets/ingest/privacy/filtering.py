"""What is taken out of files when they land, so that no raw private value is ever stored.

Pictures lose their metadata (`strip`). In files of rows, whatever their form, columns that the contract drops go, and
values of columns that it pseudonymizes become tokens (`pseudonyms`). Lines stay lines, so refusals name the same ones.
A row that cannot be mapped to columns loses all its cells; a file in which the columns cannot be found does not land.
The same file gives the same bytes, and what was filtered once is not changed again.

Left alone: columns that the contract does not name, names of files, and `*.records.parquet`, which only this platform
writes, of records that were filtered before. Files C-MAPSS calls RUL_*, one number a line, have no private column.
"""

from __future__ import annotations

import tempfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, cast

from assets.errors import RejectedError
from assets.ingest.privacy.pseudonyms import Tokens, pseudonym_key
from assets.ingest.privacy.strip import strip_picture
from assets.ingest.privacy.texts import CutShortError, filter_text
from assets.ingest.privacy.typed import filter_typed
from assets.line.data import DataContract
from assets.readers import rows
from assets.records.limits import MAX_IMAGE_BYTES, RETURNED_SUFFIX
from assets.records.line_store import BoundLine


@dataclass(frozen=True)
class Protection:
    """A line's privacy policy, ready to be applied.

    Attributes:
        key: of the pseudonyms; b"" where the line has none.
    """

    data: DataContract
    line: str
    key: bytes = b""

    @property
    def columns(self) -> bool:
        """Whether any column is dropped or pseudonymized."""
        return bool(self.data.privacy.pseudonymize or self.data.privacy.drop)

    def applies(self, path: str) -> bool:
        """Whether a file of this name may have to be changed."""
        if path.lower().endswith(RETURNED_SUFFIX):
            return False
        if self.data.image is not None and self.data.form == "files":
            return self.data.privacy.strip_metadata
        return self.data.form == "rows" and self.columns and not self._is_remaining(path)

    def filter(self, path: str, source: BinaryIO, size: int, target: BinaryIO) -> bool:
        """Write what may be kept of a file to `target`; False where the file may be kept as it is.

        Args:
            source: seekable, at its start.
            size: its bytes.

        Raises:
            RejectedError: what is private in it cannot be found; "reason; remedy". It must not land.
        """
        if not self.applies(path):
            return False
        if self.data.image is not None:
            if size > MAX_IMAGE_BYTES:
                raise RejectedError(f"{size:,} bytes are more than {MAX_IMAGE_BYTES:,}; make the file smaller")
            content = source.read()
            stripped = strip_picture(content)
            if stripped != content:
                target.write(stripped)
            return stripped != content
        self._rows(path, source, size, target)
        return True

    def _is_remaining(self, path: str) -> bool:
        series = self.data.series
        return series is not None and series.remaining and path.rsplit("/", 1)[-1].lower().startswith("rul_")

    def _rows(self, path: str, source: BinaryIO, size: int, target: BinaryIO) -> None:
        if not rows.is_named_as_rows(path, plain=True):
            raise RejectedError("not a table by its name, and the line has private columns; leave it out")
        head = source.read(8)
        source.seek(0)
        tokens = Tokens(self.key, self.line)
        policy = self.data.privacy
        for magic, text in rows.REFUSED.items():
            if head.startswith(magic):
                raise RejectedError(text)
        if head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
            filter_typed(source, size, target, policy, tokens)
        elif head.startswith(b"\x1f\x8b"):
            packed = zlib.compressobj(6, wbits=31)  # gzip without a name or a time
            try:
                for piece in filter_text(cast(BinaryIO, rows.Unpacked(source, size)), self.data, tokens):
                    target.write(packed.compress(piece))
            except CutShortError:  # damaged gzip: what came before it is kept, and its end stays missing
                target.write(packed.flush(zlib.Z_SYNC_FLUSH))
            else:
                target.write(packed.flush())
        else:
            for piece in filter_text(source, self.data, tokens):
                target.write(piece)


def protection(line: BoundLine) -> Protection:
    """The line's policy; a key for its pseudonyms is made on first use.

    Raises:
        RejectedError: the key cannot be read or kept.
    """
    data = line.config.data
    key = pseudonym_key(line) if data.privacy.pseudonymize else b""
    return Protection(data, line.name, key)


def filtered(protect: Protection, path: str, source: BinaryIO, size: int) -> BinaryIO:
    """A seekable stream of what may be read of a file; `source` itself, at its start, where that is all of it.

    Raises:
        RejectedError: as `Protection.filter` does.
    """
    if not protect.applies(path):
        return source
    target = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    try:
        changed = protect.filter(path, source, size, target)
    except BaseException:
        target.close()
        raise
    if not changed:
        target.close()
        source.seek(0)
        return source
    source.close()
    target.seek(0)
    return target
