"""One model's files for one target or many: what each target loads, or how it makes what it loads."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compilation.lint import check_models, rules_table
from assets.compilation.lint.run import Interface
from assets.compilation.optimize import runtime_graph
from assets.compilation.plans import CompiledPlan, Runtime, build_plans, why_not_here
from assets.compilation.recipes import recipe_for
from assets.compilation.shapes import LINE_INPUTS, Inputs, Shape, input_shapes
from assets.errors import CompileError
from assets.evaluation.answers import open_session
from assets.evaluation.machine import machine_name
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.memo import cached
from assets.storage.store import Store
from edge.contracts import MAX_BATCH, ArtifactRef, BuildRecipe, InputShapes, PlanHeader, TargetProfile, document
from edge.contracts.target import Dialect
from edge.engine.library import installed_version
from edge.errors import RejectedError
from edge.runtime.footprint import footprint
from edge.runtime.machine import is_here

REVISION = "2"
"""Raised whenever `optimize` would make something else of the same file."""
TYPES: Mapping[str, str] = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(bool)": "bool"}


@dataclass(frozen=True)
class Built:
    """What a target gets.

    Attributes:
        target: the profile, with the builder's exact version filled in for plans.
        file: what ships: the ONNX file that the runtime loads, a plan, or with a `recipe` the ONNX file to build from.
        source: digest of the dialect's file that it was made from; that of `file` where it ships as it is.
        note: one sentence for people: what was made, or why it was not.
        plan: the header read back from a plan's bytes.
        recipe: how the device builds its own plan.
        seconds, build_mb: what building took, the second as the largest resident memory of the builder in MiB.
        peak_mb: largest resident memory in MiB of a process that answers with `file` here; None where nothing here can
            run it for this target.
        builder, flags, warnings: what built it, what it was asked, what it warned of.
        reused: True where the same inputs had been compiled before, so that nothing was built.
    """

    target: TargetProfile
    file: ArtifactRef
    source: str
    note: str
    plan: PlanHeader | None = None
    recipe: BuildRecipe | None = None
    seconds: float = 0.0
    build_mb: float | None = None
    peak_mb: float | None = None
    builder: str = ""
    flags: str = ""
    warnings: tuple[str, ...] = ()
    reused: bool = False


@document("edgeloop.compiled_graph")
@dataclass(frozen=True)
class CompiledGraph:
    """An ONNX file for ONNX Runtime, kept under what it was made from. `peak_mb` is of answering with it here."""

    file: ArtifactRef
    note: str
    peak_mb: float


def build_targets(
    store: Store,
    name: str,
    onnx: Mapping[Dialect, ArtifactRef] | Mapping[str, ArtifactRef],
    targets: Sequence[TargetProfile],
    *,
    inputs: Inputs = LINE_INPUTS,
    linted: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, Built]:
    """What each target gets of one model; plans of several SMs at once. Whatever was built before is found again.

    Args:
        name: the line's, below which everything is kept.
        onnx: dialect to file.
        linted: the files keep every rule already.

    Returns:
        Target name to what it gets, in the order of `targets`.

    Raises:
        CompileError: a rule or a builder refuses the model, or no example tells of an open axis.
        VerificationError: a stored file was changed.
    """
    dialects = list(dict.fromkeys(target.dialect for target in targets))
    refs = {dialect: onnx[dialect] for dialect in dialects}
    files = {dialect: store.fetch(ref) for dialect, ref in refs.items()}
    rtx = [target.sm for target in targets if target.runtime == "tensorrt_rtx" and target.sm is not None]
    interface: Interface = "any" if inputs.foreign else "device"
    if not linted:
        check_files(store, name, refs, files, rtx, interface)
    work = _Work(store, name, refs, files, inputs, interface, report)
    plans = {**work.plans("tensorrt_rtx", targets), **work.plans("tensorrt", targets)}
    made: dict[str, Built] = {}
    for target in targets:
        if target.runtime == "onnxruntime":
            made[target.name] = work.graph(target)
        elif target.name in plans:
            made[target.name] = work.plan(target, *plans[target.name])
        else:
            made[target.name] = work.recipe(target)
    return made


def check_files(
    store: Store,
    name: str,
    refs: Mapping[Dialect, ArtifactRef],
    files: Mapping[Dialect, bytes],
    sms: Sequence[int],
    interface: Interface = "device",
) -> None:
    """Lint what was not linted before, by these rules and these versions: files that passed cost nothing again.

    Args:
        refs, files: dialect to where its file is kept, and to its bytes.
        sms: that TensorRT-RTX will build for.

    Raises:
        CompileError: a file breaks a rule.
    """
    by = (rules_table(), *(f"{tool} {metadata.version(tool)}" for tool in ("onnx", "onnxruntime")))
    unknown: dict[Dialect, str] = {}
    for dialect, ref in refs.items():
        inputs = (ref.sha256, dialect, interface, *map(str, sorted(sms) if dialect == "tensorrt" else ()), *by)
        key = layout.linted(name, hashlib.sha256(chr(0).join(inputs).encode()).hexdigest())
        if not store.exists(key):
            unknown[dialect] = key
    if unknown:
        check_models([(files[one], one, refs[one].uri) for one in unknown], interface, sms)
    for key in unknown.values():
        store.create(key, b"")


@dataclass(frozen=True)
class _Work:
    """One model on its way to several targets."""

    store: Store
    name: str
    refs: Mapping[Dialect, ArtifactRef]
    files: Mapping[Dialect, bytes]
    inputs: Inputs
    interface: Interface
    report: Callable[[str], None]

    def plans(self, runtime: Runtime, targets: Sequence[TargetProfile]) -> dict[str, tuple[CompiledPlan, bool]]:
        """Plans by their target's name, of those targets that this machine builds for."""
        wanted = {target.name: target.sm for target in targets if target.runtime == runtime and target.sm is not None}
        if runtime == "tensorrt":
            able = {target.name for target in targets if target.runtime == runtime and not why_not_here(target)}
            wanted = {name: sm for name, sm in wanted.items() if name in able}
        sms = list(dict.fromkeys(wanted.values()))
        if not sms:
            return {}
        shapes = self._shapes("tensorrt")
        built = build_plans(
            LineStore(self.store, self.name), self.refs["tensorrt"], sms, self.report, runtime=runtime, shapes=shapes
        )
        return {name: built[sm] for name, sm in wanted.items()}

    def plan(self, target: TargetProfile, plan: CompiledPlan, reused: bool) -> Built:
        return Built(
            replace(target, runtime_version=plan.header.version),
            plan.file,
            self.refs["tensorrt"].sha256,
            f"a plan for SM{plan.header.sm} by {target.runtime} {plan.header.version}",
            plan.header,
            None,
            plan.seconds,
            plan.peak_mb,
            builder=f"{target.runtime} {plan.header.version}",
            flags=plan.flags,
            warnings=plan.warnings,
            reused=reused,
        )

    def recipe(self, target: TargetProfile) -> Built:
        ref, data = self.refs["tensorrt"], self.files["tensorrt"]
        recipe = recipe_for(data, ref, target, input_shapes(data, self.inputs.examples, self.inputs.max_batch))
        note = f"built on the device, from this file and its recipe: {why_not_here(target)}"
        return Built(target, ref, ref.sha256, note, recipe=recipe, flags=recipe.flags)

    def graph(self, target: TargetProfile) -> Built:
        """The ONNX file that the target loads, chosen and measured once on a machine for all targets of its dialect."""
        ref, data = self.refs[target.dialect], self.files[target.dialect]
        builder = f"onnxruntime {installed_version('onnxruntime')}"
        # the machine, since the footprint is of it, and so is the speed that a rewrite is held against
        shapes = repr(self._usual(data))
        inputs = "\0".join((ref.sha256, target.dialect, self.interface, shapes, builder, machine_name(), REVISION))
        key = layout.graph(self.name, hashlib.sha256(inputs.encode()).hexdigest())
        kept = cached(self.store, key, CompiledGraph)
        reused = kept is not None
        if kept is None:
            kept = self._graph(ref, data, target.dialect)
            self.store.save(key, kept)
        saved = kept.file.sha256 != ref.sha256
        return Built(
            target,
            kept.file,
            ref.sha256,
            kept.note,
            peak_mb=kept.peak_mb if is_here(target) else None,
            builder=builder if saved else "",
            flags="basic" if saved else "",
            reused=reused,
        )

    def _graph(self, ref: ArtifactRef, data: bytes, dialect: Dialect) -> CompiledGraph:
        session, shapes = open_session(data), self._usual(data)
        fed = {value.name: _example(value.type, shapes[value.name]) for value in session.get_inputs()}
        graph = runtime_graph(data, dialect, fed, self.interface)
        file = self.store.put(self.name, graph.model, "onnx", ".onnx", (ref.sha256,)) if graph.saved else ref
        with tempfile.TemporaryDirectory(prefix="edgeloop-footprint-") as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(graph.model)
            try:
                peak = footprint(path, shapes).peak_mb
            except RejectedError as error:
                raise CompileError(f"{ref.uri}: {error}") from error
        return CompiledGraph(file, graph.note, peak)

    def _shapes(self, dialect: Dialect) -> tuple[InputShapes, ...]:
        """Profile shapes; none where only the first axes are open, which every builder assumes by itself."""
        shapes = input_shapes(self.files[dialect], self.inputs.examples, self.inputs.max_batch)
        return () if self.interface == "device" and self.inputs.max_batch == MAX_BATCH else shapes

    def _usual(self, data: bytes) -> dict[str, Shape]:
        """One record of each input."""
        usual = {one.name: one.usual for one in input_shapes(data, self.inputs.examples, self.inputs.max_batch)}
        fixed = {value.name: tuple(value.shape) for value in open_session(data).get_inputs()}
        return {name: usual.get(name, shape) for name, shape in fixed.items()}


def _example(kind: str, shape: Shape) -> NDArray[Any]:
    """Fixed numbers of a type: normal ones for floats, zeros (a valid token, index or flag) for all others."""
    dtype = np.dtype(TYPES.get(kind, kind.removeprefix("tensor(").rstrip(")")))
    if dtype.kind != "f":
        return np.zeros(shape, dtype)
    return np.random.default_rng(0).normal(size=shape).astype(dtype)
