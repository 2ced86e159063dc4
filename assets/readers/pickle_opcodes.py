"""Reads dictionaries of plain values and byte arrays out of pickles, and runs nothing.

`pickletools.genops` takes a pickle apart without executing it. What it finds is put together here by an allow-list of
opcodes; of everything a pickle may name and call, only what numpy writes for an array of integers is understood, by its
exact name, and even that is not called: the array is made from its bytes.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError

MAX_OPCODES = 2_000_000
"""Steps of one pickle: 10,000 pictures take 40,000."""

_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_FROM_BUFFER = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}
_NAMES = {*_RECONSTRUCT, *_FROM_BUFFER, "numpy ndarray", "numpy dtype", "_codecs encode"}
_INTEGERS = {"u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"}
_MARK = object()
_REMEDY = "land the original files, or the binary layout"


@dataclass(frozen=True)
class _Name:
    """A name that the pickle uses; never looked up."""

    name: str


@dataclass
class _Type:
    """What numpy.dtype is called with, and the byte order that is set afterwards."""

    code: str
    order: str = "|"


@dataclass
class _Array:
    """An array that is being put together: `values` once its state was set."""

    values: NDArray[Any] | None = None


def read_pickled(content: bytes) -> dict[str, Any]:
    """The dictionary in a pickle: texts as str keys, values as str, bytes, int, bool, None, list, tuple, dict or array.

    Raises:
        RejectedError: anything else is in it, or it is damaged; "reason; remedy". Nothing of it was run.
    """
    try:
        result = _Machine().run(content)
    except RejectedError:
        raise
    except RecursionError as error:
        raise RejectedError(f"its pickle is nested too deeply; {_REMEDY}") from error
    except Exception as error:  # pickletools raises many kinds on broken bytes
        what = (str(error).splitlines() or [""])[0][:120] or type(error).__name__
        raise RejectedError(f"its pickle is damaged ({what}); copy it again") from error
    if not isinstance(result, dict):
        raise RejectedError(f"it holds no dictionary; {_REMEDY}")
    return {_text(key): _finished(value) for key, value in result.items() if isinstance(key, str | bytes)}


class _Machine:
    """A pickle's stack and memo, with the few opcodes that plain data needs."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        """The value that is left at STOP."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(content))):
            if count >= MAX_OPCODES:
                raise RejectedError(f"its pickle has more than {MAX_OPCODES:,} steps; split it")
            name = opcode.name
            if name == "STOP":
                return self._stack.pop()
            if name in _VALUES:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _STEPS:
                _STEPS[name](self, argument)
            elif name not in {"PROTO", "FRAME"}:
                raise RejectedError(f"its pickle has the step {name}, which plain data does not need; {_REMEDY}")
        raise RejectedError("its pickle has no end; copy it again")

    def _since_mark(self) -> list[Any]:
        at = len(self._stack) - 1 - next(i for i, value in enumerate(reversed(self._stack)) if value is _MARK)
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _take(self, count: int) -> list[Any]:
        values = self._stack[len(self._stack) - count :]
        if len(values) < count or any(value is _MARK for value in values):
            raise ValueError("a step finds too few values")
        del self._stack[len(self._stack) - count :]
        return values

    def _tuple(self, argument: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _list(self, argument: Any) -> None:
        self._stack.append(self._since_mark())

    def _dict(self, argument: Any) -> None:
        values = self._since_mark()
        self._stack.append(dict(zip(values[::2], values[1::2], strict=True)))

    def _append(self, argument: Any) -> None:
        (value,) = self._take(1)
        _of(self._stack[-1], list).append(value)

    def _appends(self, argument: Any) -> None:
        values = self._since_mark()
        _of(self._stack[-1], list).extend(values)

    def _set_item(self, argument: Any) -> None:
        key, value = self._take(2)
        _of(self._stack[-1], dict)[key] = value

    def _set_items(self, argument: Any) -> None:
        values = self._since_mark()
        _of(self._stack[-1], dict).update(zip(values[::2], values[1::2], strict=True))

    def _put(self, argument: int) -> None:
        self._memo[argument] = self._stack[-1]

    def _memoize(self, argument: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, argument: int) -> None:
        self._stack.append(self._memo[argument])

    def _global(self, argument: str) -> None:
        self._stack.append(_name(argument))

    def _stack_global(self, argument: Any) -> None:
        module, name = self._take(2)
        self._stack.append(_name(f"{module} {name}"))

    def _reduce(self, argument: Any) -> None:
        what, arguments = self._take(2)
        self._stack.append(_called(_of(what, _Name).name, _of(arguments, tuple)))

    def _build(self, argument: Any) -> None:
        (state,) = self._take(1)
        _set_state(self._stack[-1], _of(state, tuple))


def _name(name: str) -> _Name:
    if name not in _NAMES:
        raise RejectedError(f"its pickle names {name[:80]!r}, which plain data does not need; {_REMEDY}")
    return _Name(name)


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    """What a call stands for."""
    if name in _RECONSTRUCT and len(arguments) == 3 and arguments[0] == _Name("numpy ndarray"):
        return _Array()
    if name == "numpy dtype" and arguments and _text(arguments[0]) in _INTEGERS:
        return _Type(_text(arguments[0]))
    if name == "_codecs encode" and len(arguments) == 2 and _text(arguments[1]) in {"latin1", "latin-1"}:
        return _bytes(arguments[0])
    if name in _FROM_BUFFER and len(arguments) == 4:
        content, kind, shape, order = arguments
        return _Array(_array(_bytes(content), _of(kind, _Type), shape, _text(order) == "F"))
    raise RejectedError(f"its pickle calls {name!r} in a way that plain data does not need; {_REMEDY}")


def _set_state(target: Any, state: tuple[Any, ...]) -> None:
    if isinstance(target, _Type) and len(state) >= 2 and _text(state[1]) in {"|", "<", "=", ">"}:
        target.order = _text(state[1])
    elif isinstance(target, _Array) and len(state) == 5:
        _, shape, kind, columns_first, content = state
        target.values = _array(_bytes(content), _of(kind, _Type), shape, bool(columns_first))
    else:
        raise RejectedError(f"its pickle sets what plain data does not have; {_REMEDY}")


def _array(content: bytes, kind: _Type, shape: Any, columns_first: bool) -> NDArray[Any]:
    if not all(isinstance(length, int) and 0 <= length < 2**40 for length in _of(shape, tuple)) or len(shape) > 4:
        raise RejectedError(f"an array has the shape {str(shape)[:80]}; {_REMEDY}")
    order = kind.order if kind.order in {"<", ">"} else ""
    values = np.frombuffer(content, dtype=np.dtype(order + kind.code))
    return values.reshape(shape, order="F" if columns_first else "C")


def _of(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise RejectedError(f"its pickle does with {type(value).__name__.strip('_')} what needs another; {_REMEDY}")
    return value


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _bytes(value: Any) -> bytes:
    """Bytes, or Python 2's, which come as a text of characters up to 255."""
    return value.encode("latin-1") if isinstance(value, str) else bytes(_of(value, bytes | bytearray))


def _finished(value: Any) -> Any:
    return value.values if isinstance(value, _Array) else value


_VALUES = {"INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "STRING", "BINSTRING", "SHORT_BINSTRING"}
_VALUES |= {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_VALUES |= {"BYTEARRAY8"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "TUPLE": _Machine._tuple,
    "TUPLE1": lambda machine, _: machine._stack.append(tuple(machine._take(1))),
    "TUPLE2": lambda machine, _: machine._stack.append(tuple(machine._take(2))),
    "TUPLE3": lambda machine, _: machine._stack.append(tuple(machine._take(3))),
    "LIST": _Machine._list,
    "DICT": _Machine._dict,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "PUT": _Machine._put,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "MEMOIZE": _Machine._memoize,
    "GET": _Machine._get,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
}
