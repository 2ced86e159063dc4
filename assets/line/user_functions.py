"""A user's own functions, named in a line's YAML as `my_package.my_module:function`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets.errors import LineError


def load_user_function(path: str, what: str) -> Callable[..., Any]:
    """The function that `path` names.

    The folder that a command runs in is searched too, so that a module beside `workspace.yaml` needs no installation.

    Args:
        path: `my_package.my_module:function`.
        what: the field of the line that names it, e.g. "training.loss"; for the error's text.

    Raises:
        LineError: says which module or function is missing, or what the module raised when it was imported.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise LineError(f"{what}: {path!r} names no function; write `my_package.my_module:function`")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # for good: what a function imports when it is called is found, too
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise LineError(f"{what}: {module_name} needs the module {error.name!r}; install it") from error
        raise LineError(
            f"{what}: there is no module {error.name!r}; install it, or put it into the folder you work in ({here})"
        ) from error
    except Exception as error:  # a user's module raises what it likes
        raise LineError(
            f"{what}: {module_name} cannot be imported ({type(error).__name__}: {error}); fix it"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        raise LineError(f"{what}: {module.__file__} has no {name!r}; write the function, or correct its name")
    if not callable(found):
        raise LineError(f"{what}: {name!r} of {module.__file__} is {type(found).__name__}, which cannot be called")
    function: Callable[..., Any] = found
    return function
