"""Builds a plan from an ONNX file and its recipe, on the machine that the recipe is for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge.contracts import BuildRecipe
from edge.engine.build import BuildLimits, BuildLog, build_plan, builder_version
from edge.engine.request import flags_of
from edge.engine.versions import version_numbers
from edge.errors import IncompatibleError, VerificationError


def build_from(recipe: BuildRecipe, onnx_path: str | Path, out_path: str | Path, cache: str | Path) -> BuildLog:
    """Build the plan that a recipe describes; the old engine may serve meanwhile.

    Args:
        cache: the file of kernel timings that makes the next build of this kind shorter.

    Raises:
        VerificationError: the file is not the recipe's, or this software would ask the builder for something else.
        IncompatibleError, RejectedError, TransientError: see `build_plan`; the installed version is not the recipe's.
    """
    found = hashlib.sha256(Path(onnx_path).read_bytes()).hexdigest()
    if found != recipe.model:
        raise VerificationError(f"{onnx_path}: not the file of this recipe ({found[:12]}, not {recipe.model[:12]})")
    if flags_of(recipe.shapes, recipe.options) != recipe.flags:
        raise VerificationError(
            f"{onnx_path}: its recipe asks for {recipe.flags!r}, which this software cannot ask; update it"
        )
    installed = version_numbers(builder_version(recipe.runtime))
    if not version_numbers(recipe.least_version) <= installed < version_numbers(recipe.below_version):
        raise IncompatibleError(
            f"{onnx_path}: its recipe is for {recipe.runtime} {recipe.least_version} to below {recipe.below_version}, "
            f"this machine has {'.'.join(map(str, installed))}"
        )
    return build_plan(
        onnx_path,
        recipe.sm,
        out_path,
        BuildLimits(recipe.timeout_s, recipe.memory_mb),
        runtime=recipe.runtime,
        shapes=recipe.shapes,
        options=recipe.options,
        timing_cache=cache,
    )
