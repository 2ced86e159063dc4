"""What differs between TensorRT 10.3, 11 and TensorRT-RTX, in one table: the rest of this folder knows no version.

All of them build strongly typed networks from explicit Q/DQ, which is the one form that all understand. Sources: the
migration guide from TensorRT 10.x to 11.x and the support matrices (https://docs.nvidia.com/deeplearning/tensorrt/),
and for TensorRT-RTX 1.7.1 the library itself, which the tests compare with its row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge.errors import IncompatibleError, RejectedError

Version = tuple[int, ...]
OPTIONS: Mapping[str, str] = {
    "version-compatible": "BuilderFlag.VERSION_COMPATIBLE",
    "ampere-plus": "HardwareCompatibilityLevel.AMPERE_PLUS",
}
"""What a build may ask for besides, to the library's name for it.

Both make plans that more machines load, larger and slower; the level is not for Jetson, and the wheel of TensorRT-RTX
lacks the lean runtime that the flag needs. Nothing asks for them by itself: a plan is a cache that is built again."""
RTX_SMS = (75, 80, 86, 89, 120, 121)
"""Compute capabilities times ten that TensorRT-RTX 1.7 builds for, in the order of the bits of its plans' mask."""
_COMMON = (
    "Builder.build_serialized_network",
    "Builder.create_optimization_profile",
    "IBuilderConfig.add_optimization_profile",
    "ILogger.Severity.WARNING",
    "INetworkDefinition.num_inputs",
    "IOptimizationProfile.set_shape",
    "OnnxParser.get_error",
    "OnnxParser.parse",
)
_WEAK = ("FP16", "INT8", "BF16", "FP8", "OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS")
_GPU = (
    "IBuilderConfig.create_timing_cache",
    "IBuilderConfig.set_timing_cache",
    "IBuilderConfig.set_memory_pool_limit",
    "MemoryPoolType.WORKSPACE",
)


@dataclass(frozen=True)
class Rules:
    """How one range of versions is driven.

    Attributes:
        runtime: "tensorrt" or "tensorrt_rtx".
        least, below: the versions it holds for, the second one excluded.
        modules: what is imported, in this order; the last one is the bindings.
        tag: the first four bytes of its plans.
        strong_typing: "flag" where a network must be asked for it, "always" where nothing else exists.
        weak_flags: builder flags for lower precisions that it has. They belong to weakly typed networks and are
            refused in strongly typed ones, so none is ever set: the ONNX file itself says every type.
        calibrators: whether it still has INT8 calibrators, which are never used.
        dla: whether it has the deep learning accelerator of Jetson boards, which is never used: it is gone in 10.16,
            and 11.4 brought it back for AGX Orin alone.
        sms: what it builds for without a GPU; empty where it builds for the GPU of the machine alone.
        limits_data: whether RLIMIT_DATA may limit a build. CUDA reserves far more addresses than it fills, so where a
            GPU is used the free memory is looked at before, and the builder's workspace is limited.
        timing_cache: whether timings of kernels can be kept between builds.
        needs: names that are used and must be there; `gone`: names that a version of this row has not, which the
            tests compare with each library.
        options: those of `OPTIONS` that it takes.
    """

    runtime: Literal["tensorrt", "tensorrt_rtx"]
    least: Version
    below: Version
    modules: tuple[str, ...]
    tag: str
    strong_typing: Literal["flag", "always"]
    weak_flags: tuple[str, ...]
    calibrators: bool
    dla: bool
    sms: tuple[int, ...]
    limits_data: bool
    timing_cache: bool
    needs: tuple[str, ...]
    gone: tuple[str, ...] = ()
    options: tuple[str, ...] = tuple(OPTIONS)

    def __str__(self) -> str:
        return f"{self.runtime} {_text(self.least)} to below {_text(self.below)}"


_FLAG = "NetworkDefinitionCreationFlag.STRONGLY_TYPED"
_NO_WEAK = tuple(f"BuilderFlag.{name}" for name in _WEAK)
TABLE: tuple[Rules, ...] = (
    Rules(
        "tensorrt", (10, 3), (10, 16), ("tensorrt",), "ftrt", "flag",
        weak_flags=_WEAK, calibrators=True, dla=True, sms=(), limits_data=False, timing_cache=True,
        needs=(*_COMMON, *_GPU, _FLAG),
    ),
    Rules(
        "tensorrt", (10, 16), (11,), ("tensorrt",), "ftrt", "flag",
        weak_flags=_WEAK, calibrators=True, dla=False, sms=(), limits_data=False, timing_cache=True,
        needs=(*_COMMON, *_GPU, _FLAG),
    ),
    Rules(
        "tensorrt", (11,), (12,), ("tensorrt",), "ftrt", "always",
        weak_flags=(), calibrators=False, dla=False, sms=(), limits_data=False, timing_cache=True,
        needs=(*_COMMON, *_GPU), gone=(*_NO_WEAK, "IInt8Calibrator"),
    ),
    Rules(
        "tensorrt_rtx", (1, 7), (2,), ("tensorrt_rtx_libs", "tensorrt_rtx_bindings"), "vtrt", "flag",
        weak_flags=(), calibrators=False, dla=False, sms=RTX_SMS, limits_data=True, timing_cache=False,
        needs=(*_COMMON, _FLAG, "IBuilderConfig.set_compute_capability", "ComputeCapability.SM86"),
        gone=(*_NO_WEAK, "IInt8Calibrator"), options=(),
    ),
)  # fmt: skip


def rules_for(runtime: str, version: str) -> Rules:
    """The row for an installed version. Raises IncompatibleError where there is none."""
    numbers = version_numbers(version)
    for rules in TABLE:
        if rules.runtime == runtime and numbers and rules.least <= numbers < rules.below:
            return rules
    known = ", ".join(str(rules) for rules in TABLE if rules.runtime == runtime) or "nothing"
    raise IncompatibleError(
        f"{runtime} {version or 'of no version'} is not known here ({known}); install one of these, or update this "
        "software"
    )


def modules_of(runtime: str) -> tuple[str, ...]:
    """What to import for a runtime; the same for all its versions."""
    return next(rules.modules for rules in TABLE if rules.runtime == runtime)


def versions_of(runtime: str) -> tuple[str, str]:
    """The least version that is driven here, and the first one that is not, e.g. ("10.3", "12")."""
    rows = [rules for rules in TABLE if rules.runtime == runtime]
    return _text(min(rules.least for rules in rows)), _text(max(rules.below for rules in rows))


def check_library(trt: Any, rules: Rules, options: tuple[str, ...] = ()) -> None:
    """Compare a loaded library with its row, before anything is built.

    Raises:
        IncompatibleError: a name that is used here is missing in it.
        RejectedError: an option that this version does not take.
    """
    for option in options:
        if option not in rules.options:
            known = ", ".join(rules.options) or "none"
            raise RejectedError(f"{rules.runtime} takes no option {option!r}; known are: {known}")
    if absent := [name for name in (*rules.needs, *(OPTIONS[option] for option in options)) if not _has(trt, name)]:
        raise IncompatibleError(
            f"{rules.runtime} {trt.__version__} has no {', '.join(absent)}; install {rules}, or update this software"
        )


def version_numbers(version: str) -> Version:
    """The leading numbers of a version: (1, 23, 2) of "1.23.2+cpu"; () where there are none."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found.group().split(".")) if found else ()


def same_version(first: str, second: str) -> bool:
    """Whether two versions are one as far as both tell it, three numbers at least.

    A plan's header says 10.3.0.30 where TensorRT's package and module say 10.3.0; the library itself checks the rest.
    """
    one, other = version_numbers(first), version_numbers(second)
    told = min(len(one), len(other))
    return told >= 3 and one[:told] == other[:told]


def _has(trt: Any, name: str) -> bool:
    place = trt
    for part in name.split("."):
        if not hasattr(place, part):
            return False
        place = getattr(place, part)
    return True


def _text(version: Version) -> str:
    return ".".join(map(str, version))
