"""What `edgeloop compress MODEL --data SOURCE` names: an ONNX file, a line's model, a checkpoint in a store."""

from __future__ import annotations

from pathlib import Path

from assets.errors import LineError, RejectedError
from assets.records.line_store import LineStore
from assets.standalone.line_models import owner_of, trained_model
from assets.storage.store import Store
from platform_defs import catalog

_SAFETENSORS = ".safetensors"


def find_model(name: str, store: Store) -> tuple[str, str, str]:
    """A MODEL as (path of an ONNX file, line, digest of its weights); what does not apply is "".

    Raises:
        RejectedError: neither a file nor a line, or weights that no line's model has.
    """
    path = Path(name)
    if path.is_dir():
        raise RejectedError(f"{path}: is a folder; name an ONNX file, a line, or a .safetensors of one of its models")
    if path.suffix == _SAFETENSORS and path.is_file():
        return ("", *owner_of(store, (entry.name for entry in catalog.list_lines()), path))
    if path.is_file():
        return str(path.resolve()), "", ""
    if path.suffix or len(path.parts) > 1:
        raise RejectedError(
            f"{path}: there is no such file; name an ONNX file, or a line (`edgeloop lines` lists them)"
        )
    try:
        line = catalog.find_line(name).name
    except LineError as error:
        raise LineError(f"{name!r} is no file, and {error}") from error
    trained_model(LineStore(store, line), "")
    return "", line, ""


def find_data(source: str, line: str) -> tuple[str, str]:
    """A SOURCE as (path, line whose accepted records it stands for); one of the two is "".

    Args:
        line: of the model; its records where no source is named.
    """
    if not source:
        if not line:
            raise RejectedError(
                "--data: an ONNX file says nothing of its data; name an .npz, a folder of pictures, a table, or a line"
            )
        return "", line
    path = Path(source)
    if path.exists():
        return str(path.resolve()), ""
    if path.suffix or len(path.parts) > 1:
        raise RejectedError(f"--data {source}: there is no such file or folder, and no line is called so")
    return "", catalog.find_line(source).name
