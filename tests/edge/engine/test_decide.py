"""Run, rebuild or refuse: for every kind of device the one right choice, and a reason for each other artifact."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.contracts import (
    TARGETS,
    ArtifactRef,
    DeviceProfile,
    Evidence,
    InputSpec,
    PlanHeader,
    Provenance,
    ReleaseArtifact,
    ReleaseManifest,
    TargetProfile,
)
from edge.engine.build import BuildLog
from edge.engine.decide import check_plan, decide
from edge.engine.library import installed_version
from edge.errors import IncompatibleError, RejectedError, VerificationError

SHA = "a" * 64
VERSION = "1.7.1.116"


def device(**fields: Any) -> DeviceProfile:
    base = {"arch": "x86_64", "runtimes": {"onnxruntime": "1.31.1"}}
    return DeviceProfile("box-1", "digits", "canary", public_key=SHA, **{**base, **fields})


def rtx_box(sm: int, version: str = VERSION) -> DeviceProfile:
    return device(sm=sm, runtimes={"onnxruntime": "1.31.1", "tensorrt_rtx": version})


def onnx(arch: Any = "x86_64", version: str = "1.23", **fields: Any) -> ReleaseArtifact:
    target = TargetProfile(f"cpu-{arch}", "onnxruntime", arch, "cpu", runtime_version=version, **fields)
    return ReleaseArtifact(target, ArtifactRef("m.onnx", SHA, 1, "onnx"), Evidence(SHA))


def plan(sm: int, version: str = VERSION) -> ReleaseArtifact:
    target = TargetProfile(f"rtx-sm{sm}", "tensorrt_rtx", "x86_64", "tensorrt", sm=sm, runtime_version=version)
    header = PlanHeader("vtrt", version, sm)
    return ReleaseArtifact(target, ArtifactRef(f"{sm}.plan", SHA, 1, "plan"), Evidence(SHA), header)


def source(runtime: Any = "tensorrt", arch: Any = "aarch64", least: str = "10.3") -> ReleaseArtifact:
    target = TargetProfile(f"{runtime}-source", runtime, arch, "tensorrt", runtime_version=least)
    return ReleaseArtifact(target, ArtifactRef("s.onnx", SHA, 1, "onnx"), Evidence(SHA))


def manifest(*artifacts: ReleaseArtifact) -> ReleaseManifest:
    spec = InputSpec("image", "input", (1, 8, 8), (0.5,), (0.5,))
    golden = ArtifactRef("golden.json", SHA, 1, "json")
    return ReleaseManifest(
        "digits", 1, spec, "logits", ("0", "1"), golden, artifacts, Provenance((), SHA, SHA, SHA, ())
    )


def test_a_cpu_runs_the_onnx_of_its_arch() -> None:
    made = decide(manifest(onnx("aarch64"), plan(86), onnx()), device())
    assert (made.action, made.artifact) == ("run", onnx())
    assert made.others == {
        "cpu-aarch64": "made for aarch64, this device is x86_64",
        "rtx-sm86": "built for SM86 (rtx-sm86), this device has no NVIDIA GPU",
    }


def test_a_gpu_prefers_the_plan_for_its_own_sm() -> None:
    made = decide(manifest(onnx(), plan(86), plan(89)), rtx_box(89))
    assert (made.action, made.artifact) == ("run", plan(89))
    assert made.others["rtx-sm86"] == "built for SM86 (rtx-sm86), this device is SM89"
    assert made.others["cpu-x86_64"] == "rtx-sm89 is preferred on this device"


def test_a_plan_of_another_version_is_passed_over() -> None:
    made = decide(manifest(plan(86), onnx()), rtx_box(86, "1.8.0.1"))
    assert (made.action, made.artifact) == ("run", onnx())
    assert made.others["rtx-sm86"] == "built by tensorrt_rtx 1.7.1.116, which alone loads it; this device has 1.8.0.1"


def test_an_engine_for_another_sm_alone_is_refused() -> None:
    made = decide(manifest(plan(89)), rtx_box(86))
    assert (made.action, made.artifact) == ("refuse", None)
    assert "built for SM89 (rtx-sm89), this device is SM86" in made.reason
    assert "box-1" in made.reason


def test_a_device_that_can_build_rebuilds() -> None:
    orin = device(arch="aarch64", sm=87, runtimes={"tensorrt": "10.3.0.30"})
    made = decide(manifest(plan(86), source()), orin)
    assert (made.action, made.artifact) == ("rebuild", source())
    assert "SM87" in made.reason
    assert decide(manifest(source(), onnx("aarch64")), device(arch="aarch64", sm=87)).action == "run"


@pytest.mark.parametrize(
    ("artifact", "profile", "reason"),
    [
        (source("tensorrt_rtx", "x86_64", ""), rtx_box(87), "cannot build for this device, which is SM87"),
        (source(least="10.9"), device(arch="aarch64", sm=87, runtimes={"tensorrt": "10.3"}), "10.9 or later"),
        (source(), device(arch="aarch64"), "tensorrt cannot build for this device, which has no NVIDIA GPU"),
        (onnx(version="1.32"), device(), "needs onnxruntime 1.32 or later, this device has 1.31.1"),
        (onnx(), device(runtimes={}), "needs onnxruntime, this device has no runtime"),
        (onnx(), device(runtimes={"onnxruntime": "unknown"}), "this device has unknown"),
        (onnx(memory_mb=512), device(memory_mb=256), "needs 512 MiB of memory, this device has 256"),
        (plan(86), device(sm=86), "needs tensorrt_rtx, this device has onnxruntime"),
        (dataclasses.replace(plan(86), plan=None), rtx_box(86), "does not say which SM"),
        (dataclasses.replace(plan(86), plan=PlanHeader("vtrt", VERSION, 89)), rtx_box(89), "does not say which SM"),
    ],
)
def test_every_refusal_says_why(artifact: ReleaseArtifact, profile: DeviceProfile, reason: str) -> None:
    made = decide(manifest(artifact), profile)
    assert made.action == "refuse"
    assert reason in made.reason


def test_a_release_without_artifacts_is_refused() -> None:
    assert "no artifacts" in decide(manifest(), device()).reason


def test_a_version_compares_by_its_numbers() -> None:
    assert decide(manifest(onnx(version="1.9")), device(runtimes={"onnxruntime": "1.23.2+cpu"})).action == "run"


ARTIFACTS = st.sampled_from([onnx(), onnx("aarch64"), plan(86), plan(89), plan(86, "1.6"), source()])


@given(st.lists(ARTIFACTS, max_size=4, unique_by=lambda artifact: artifact.target.name), st.permutations([0, 1]))
def test_every_artifact_is_chosen_or_explained(artifacts: list[ReleaseArtifact], _: list[int]) -> None:
    for profile in (device(), rtx_box(86), rtx_box(120), device(arch="aarch64", sm=87, runtimes={"tensorrt": "10.3"})):
        made = decide(manifest(*artifacts), profile)
        explained = set(made.others) | ({made.artifact.target.name} if made.artifact else set())
        assert explained == {artifact.target.name for artifact in artifacts}
        assert (made.artifact is None) == (made.action == "refuse")
        assert all(made.others.values())


def real(data: bytes, sm: int, version: str | None = None) -> ReleaseArtifact:
    version = version or installed_version("tensorrt_rtx")
    return dataclasses.replace(plan(sm, version), file=ArtifactRef("x.plan", SHA, len(data), "plan"))


def test_the_right_real_plan_passes(plans: dict[int, tuple[bytes, BuildLog]]) -> None:
    data, log = plans[86]
    assert check_plan(data, real(data, 86), rtx_box(86, log.header.version)).sms == (86,)


def test_a_real_plan_for_another_device_is_refused(plans: dict[int, tuple[bytes, BuildLog]]) -> None:
    data, log = plans[89]
    with pytest.raises(IncompatibleError, match=r"built for SM89 \(rtx-sm89\), this device is SM86"):
        check_plan(data, real(data, 89), rtx_box(86, log.header.version))
    with pytest.raises(IncompatibleError, match=r"which alone loads it; this device has 9\.9"):
        check_plan(data, real(data, 89), rtx_box(89, "9.9"))
    with pytest.raises(IncompatibleError, match="no NVIDIA GPU"):
        check_plan(data, real(data, 89), device())


def test_a_real_plan_that_is_not_the_manifests_is_refused(plans: dict[int, tuple[bytes, BuildLog]]) -> None:
    data, log = plans[89]
    box = rtx_box(86, log.header.version)
    with pytest.raises(VerificationError, match="built for SM89, the manifest says SM86"):
        check_plan(data, real(data, 86), box)
    with pytest.raises(VerificationError, match=r"the manifest says tensorrt_rtx 1\.2"):
        check_plan(data, real(data, 89, "1.2"), box)
    with pytest.raises(VerificationError, match="says nothing"):
        check_plan(data, dataclasses.replace(real(data, 89), plan=None), box)
    with pytest.raises(RejectedError, match="not a TensorRT plan"):
        check_plan(b"x" * 1000, real(data, 89), box)
    with pytest.raises(RejectedError, match="bytes"):
        check_plan(data[:1000], real(data, 89), box)


def test_a_processor_gets_what_counts_on_its_own_features() -> None:
    vnni = dataclasses.replace(
        onnx(), target=dataclasses.replace(onnx().target, name="cpu-x86-vnni", cpu_features=("avx512_vnni",))
    )
    plain, able = device(), device(cpu_features=("avx2", "avx512_vnni"))
    for artifacts in ((vnni, onnx()), (onnx(), vnni)):
        assert decide(manifest(*artifacts), able).artifact == vnni
        made = decide(manifest(*artifacts), plain)
        assert made.artifact == onnx()
        assert made.others["cpu-x86-vnni"] == "counts on avx512_vnni, which this device's processor does not report"


@pytest.mark.parametrize("installed", ["10.3.0", "10.3.0.30"])
def test_a_package_may_tell_less_of_its_version_than_a_plan(installed: str) -> None:
    target = dataclasses.replace(TARGETS["orin-jp6"], runtime_version="10.3.0.30")
    built = dataclasses.replace(plan(87), target=target, plan=PlanHeader("ftrt", "10.3.0.30", 87))
    orin = device(arch="aarch64", sm=87, runtimes={"tensorrt": installed})
    assert decide(manifest(built), orin).action == "run"
    for other in ("10.3.1", "10.3", "10.3.0.31"):
        assert decide(manifest(built), dataclasses.replace(orin, runtimes={"tensorrt": other})).action == "refuse"


def test_a_recipe_is_for_its_own_board_and_versions() -> None:
    def jetson(name: str) -> ReleaseArtifact:
        return dataclasses.replace(source(), target=TARGETS[name])

    release = manifest(jetson("orin-jp6"), jetson("orin-jp7"), jetson("thor-jp7"), onnx())
    for sm, version, name in ((87, "10.3.0.30", "orin-jp6"), (87, "11.4.1.2", "orin-jp7"), (110, "10.13", "thor-jp7")):
        made = decide(release, device(arch="aarch64", sm=sm, runtimes={"tensorrt": version}))
        assert made.action == "rebuild", made
        assert made.artifact == jetson(name)
    made = decide(release, device(arch="aarch64", sm=87, runtimes={"tensorrt": "11.4"}))
    assert made.others["orin-jp6"] == "needs tensorrt below 11, this device has 11.4"
    assert made.others["thor-jp7"] == "its recipe is for SM110 (thor-jp7), this device is SM87"
    assert decide(release, device(arch="aarch64", sm=87, runtimes={"tensorrt": "12.0"})).action == "refuse"
