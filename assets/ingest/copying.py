"""Takes a source's files into the landing zone: first their digests, then their bytes, which must still be the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from assets.errors import LandingError, TransientError
from assets.ingest.sources.collecting import Progress, SourceFile
from assets.records.batch import LandedFile
from assets.storage.store import Store
from assets.storage.streams import copy_in, hash_stream, make_durable, move_in


@dataclass(frozen=True)
class Taking:
    """Reads the files of the source `name` (to name it in errors), telling `tell` how far it is."""

    name: str
    tell: Progress | None = None

    def declare(self, files: Sequence[SourceFile]) -> tuple[LandedFile, ...]:
        """Size and SHA-256 of each file. Raises LandingError where one changes meanwhile, or cannot be read."""
        return tuple(self._hashed(file) for file in self._with_progress("reading", files))

    def copy(self, store: Store, prefix: str, files: Mapping[LandedFile, SourceFile]) -> None:
        """Each file to `<prefix>/<its path>`, durable at the end.

        Raises:
            LandingError: a file is not what was declared any more.
            TransientError: the landing zone cannot be written.
        """
        for file, declared in zip(self._with_progress("copying", list(files.values())), files, strict=True):
            try:
                self._copy(store, f"{prefix}/{declared.path}", file, declared)
            except OverflowError as error:
                raise self._changed(file) from error
            except OSError as error:
                raise TransientError(
                    f"{file.path}: cannot be copied into the landing zone ({error}); land again"
                ) from error
        make_durable(store, prefix)

    def _with_progress(self, what: str, files: Sequence[SourceFile]) -> Iterator[SourceFile]:
        done, total = 0, sum(file.size for file in files)
        for file in files:
            yield file
            done += file.size
            if self.tell is not None:
                self.tell(what, done, total)

    def _hashed(self, file: SourceFile) -> LandedFile:
        try:
            with file.open() as stream:
                sha256, size = hash_stream(stream, file.size)
        except (OSError, OverflowError) as error:
            raise self._changed(file) from error
        return LandedFile(file.path, sha256, size)

    def _copy(self, store: Store, key: str, file: SourceFile, declared: LandedFile) -> None:
        if file.owned is not None and store.local:
            move_in(store, key, file.owned)  # nobody else has it, so it is what was declared
            return
        try:
            stream = file.open()
        except OSError as error:
            raise self._changed(file) from error
        with stream:
            found = copy_in(store, key, stream, declared.size)
        if found != (declared.sha256, declared.size):
            raise self._changed(file)

    def _changed(self, file: SourceFile) -> LandingError:
        return LandingError(
            f"{self.name}: {file.path} changed while it was being landed; land again once the source is complete"
        )
