"""Run, rebuild or refuse: which artifact of a release a device can use, and for each other one why not.

Pure functions of the manifest and the device's profile, so the platform computes for a whole fleet what each device
will later decide for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge.contracts import DeviceProfile, PlanHeader, ReleaseArtifact, ReleaseManifest, TargetProfile
from edge.engine.header import Header, parse_plan
from edge.engine.versions import RTX_SMS, same_version, version_numbers
from edge.errors import IncompatibleError, VerificationError


@dataclass(frozen=True)
class Decision:
    """What a device does with a release.

    Attributes:
        action: "run" `artifact` as it is; "rebuild" a plan on the device from `artifact`, a Q/DQ ONNX file, while the
            old release serves; "refuse", with `artifact` None.
        reason: one sentence for people.
        others: target name of each artifact that is not used to why not.
    """

    action: Literal["run", "rebuild", "refuse"]
    artifact: ReleaseArtifact | None
    reason: str
    others: Mapping[str, str]


def decide(manifest: ReleaseManifest, device: DeviceProfile) -> Decision:
    """Choose among a release's artifacts.

    A plan for the device's own SM and runtime version comes first, then an ONNX file that its runtime loads, then a
    rebuild on the device; with none of these the release is refused. An ONNX file that counts on more of the
    processor's features comes before one that counts on fewer; equals are taken in the manifest's order.
    """
    why = {artifact.target.name: why_not(artifact, device) for artifact in manifest.artifacts}
    usable = [artifact for artifact in manifest.artifacts if why[artifact.target.name] is None]
    plans = [artifact for artifact in usable if artifact.file.kind == "plan"]
    models = [artifact for artifact in usable if artifact.file.kind != "plan" and not is_source(artifact)]
    models.sort(key=lambda artifact: -len(artifact.target.cpu_features))
    sources = [artifact for artifact in usable if is_source(artifact)]
    for action, found in (("run", plans), ("run", models), ("rebuild", sources)):
        if found:
            chosen = found[0]
            others = {
                name: reason or f"{chosen.target.name} is preferred on this device"
                for name, reason in why.items()
                if name != chosen.target.name
            }
            return Decision("run" if action == "run" else "rebuild", chosen, _praise(chosen, device), others)
    reasons = {name: str(reason) for name, reason in why.items()}
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items()) or "it has no artifacts"
    return Decision("refuse", None, f"nothing in this release runs on {device.device}: {told}", reasons)


def why_not(artifact: ReleaseArtifact, device: DeviceProfile) -> str | None:
    """Why `device` cannot use `artifact`, in one clause; None if it can."""
    return _why_not_hardware(artifact, device) or _why_not_runtime(artifact, device)


def _why_not_hardware(artifact: ReleaseArtifact, device: DeviceProfile) -> str | None:
    target, plan = artifact.target, artifact.plan
    if target.arch != device.arch:
        return f"made for {target.arch}, this device is {device.arch}"
    if lacking := [feature for feature in target.cpu_features if feature not in device.cpu_features]:
        return f"counts on {', '.join(lacking)}, which this device's processor does not report"
    if artifact.file.kind == "plan":
        reason = _why_not_plan(target, plan, device)
    else:
        reason = _why_not_built(target, device) if is_source(artifact) else None
    if reason is not None:
        return reason
    if target.memory_mb is not None and device.memory_mb is not None and device.memory_mb < target.memory_mb:
        return f"needs {target.memory_mb} MiB of memory, this device has {device.memory_mb}"
    return None


def _why_not_plan(target: TargetProfile, plan: PlanHeader | None, device: DeviceProfile) -> str | None:
    if plan is None or (target.sm is not None and target.sm != plan.sm):
        return "its manifest does not say which SM and builder it is for; release it again"
    if plan.sm != device.sm:
        return f"built for SM{plan.sm} ({target.name}), this device {_gpu(device)}"
    return None


def _why_not_built(target: TargetProfile, device: DeviceProfile) -> str | None:
    """Why `device` cannot build a plan from an ONNX file that is for `target`."""
    if device.sm is None or (target.runtime == "tensorrt_rtx" and device.sm not in RTX_SMS):
        return f"{target.runtime} cannot build for this device, which {_gpu(device)}"
    if target.sm not in (None, device.sm):
        return f"its recipe is for SM{target.sm} ({target.name}), this device {_gpu(device)}"
    return None


def _why_not_runtime(artifact: ReleaseArtifact, device: DeviceProfile) -> str | None:
    target, plan = artifact.target, artifact.plan
    if target.runtime not in device.runtimes:
        return f"needs {target.runtime}, this device has {', '.join(sorted(device.runtimes)) or 'no runtime'}"
    installed = device.runtimes[target.runtime]
    if plan is not None and not same_version(plan.version, installed):
        return f"built by {target.runtime} {plan.version}, which alone loads it; this device has {installed}"
    if plan is None and not _at_least(installed, target.runtime_version):
        return f"needs {target.runtime} {target.runtime_version} or later, this device has {installed}"
    if plan is None and target.below_version and _at_least(installed, target.below_version):
        return f"needs {target.runtime} below {target.below_version}, this device has {installed}"
    return None


def is_source(artifact: ReleaseArtifact) -> bool:
    """Whether this is a Q/DQ ONNX file that a device's own TensorRT can build a plan from."""
    return artifact.file.kind == "onnx" and artifact.target.runtime != "onnxruntime"


def check_plan(data: bytes, artifact: ReleaseArtifact, device: DeviceProfile) -> Header:
    """Compare a plan's real bytes with its manifest and with the device, before any runtime reads them.

    Raises:
        RejectedError: not a plan, or cut short.
        VerificationError: another plan than the manifest says.
        IncompatibleError: a plan for another SM or runtime version than this device's.
    """
    name, plan = artifact.target.name, artifact.plan
    header = parse_plan(data, name)
    if plan is None:
        raise VerificationError(f"{name}: the manifest says nothing about this plan; release it again")
    if header.runtime != artifact.target.runtime or (header.tag, header.version) != (plan.tag, plan.version):
        raise VerificationError(
            f"{name}: the plan's bytes say {header.runtime} {header.version}, the manifest says "
            f"{artifact.target.runtime} {plan.version} ({plan.tag}); release it again"
        )
    if header.sms is not None and plan.sm not in header.sms:
        raise VerificationError(
            f"{name}: the plan's bytes say it was built for {_sms(header.sms)}, the manifest says SM{plan.sm}; "
            "release it again"
        )
    if reason := why_not(artifact, device):
        raise IncompatibleError(f"{name}: {reason}; wait for a release for this device, or build one for it")
    return header


def _sms(sms: tuple[int, ...]) -> str:
    return ", ".join(f"SM{sm}" for sm in sms)


def _gpu(device: DeviceProfile) -> str:
    return "has no NVIDIA GPU" if device.sm is None else f"is SM{device.sm}"


def _praise(artifact: ReleaseArtifact, device: DeviceProfile) -> str:
    target = artifact.target
    runtime = f"{target.runtime} {device.runtimes[target.runtime]}"
    if is_source(artifact):
        return f"no plan for this device (it {_gpu(device)}); its {runtime} can build one from {target.name}"
    if artifact.plan is not None:
        return f"{target.name}: a plan for this device's SM{artifact.plan.sm} and {runtime}"
    return f"{target.name}: ONNX for {target.arch}, which {runtime} loads"


def _at_least(installed: str, least: str) -> bool:
    return version_numbers(installed) >= version_numbers(least)
