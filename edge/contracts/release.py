"""The signed manifest of a release, and the deploy file that points a group of devices at one."""

from __future__ import annotations

from dataclasses import dataclass

from edge.contracts.artifact import ArtifactRef, check_key, check_sha256
from edge.contracts.codec import document
from edge.contracts.evidence import Evidence, ParityVerdict
from edge.contracts.model import CLASS_ANSWER, AnswerSpec, InputSpec
from edge.contracts.recipe import BuildRecipe
from edge.contracts.target import TargetProfile


@dataclass(frozen=True)
class PlanHeader:
    """What the first bytes of a TensorRT plan say, and what they do not say but the builder knew.

    Attributes:
        tag: "ftrt" (TensorRT) or "vtrt" (TensorRT-RTX).
        version: of the builder, e.g. "1.7.1.116".
        sm: compute capability times ten that the plan was built for.
    """

    tag: str
    version: str
    sm: int


@dataclass(frozen=True)
class ReleaseArtifact:
    """One file for one kind of device, with the evidence bound to its digest. `file.uri` is relative to the release.

    `recipe` is how a device builds its plan from `file`, where that is an ONNX file for TensorRT.
    """

    target: TargetProfile
    file: ArtifactRef
    evidence: Evidence
    plan: PlanHeader | None = None
    recipe: BuildRecipe | None = None


@dataclass(frozen=True)
class Provenance:
    """Where a release comes from: digests down to the batches.

    Attributes:
        batches: batch ids in the order they were accepted.
        dataset: the dataset version (64 hex digits).
        teacher, chosen: digests of the trained model and of the chosen compressed one (both ONNX).
        parity: the chain of verdicts from `teacher` to `chosen`.
    """

    batches: tuple[str, ...]
    dataset: str
    teacher: str
    chosen: str
    parity: tuple[ParityVerdict, ...]


@document("edgeloop.release", "1.3")
@dataclass(frozen=True)
class ReleaseManifest:
    """What ships. Its id is the SHA-256 of its canonical bytes, so it holds no time and no machine.

    Attributes:
        line: which line it belongs to.
        sequence: position in the line's journal of accepted batches; a device never goes back without a rollback.
        labels: the classes, in the order of the model's outputs; none where it answers something else.
        output: the ONNX graph's output.
        golden: the golden set, relative to the release.
        demo_keys: True where the keys that signed it were made by the demo and protect nothing.
        answer: what the output stands for.
    """

    line: str
    sequence: int
    input: InputSpec
    output: str
    labels: tuple[str, ...]
    golden: ArtifactRef
    artifacts: tuple[ReleaseArtifact, ...]
    provenance: Provenance
    demo_keys: bool = False
    answer: AnswerSpec = CLASS_ANSWER


@document("edgeloop.deployment")
@dataclass(frozen=True)
class Deployment:
    """Which release a group of devices should run: the content of a deploy target file.

    Attributes:
        release: id of the manifest (SHA-256 of its bytes).
        manifest: TUF target path of the manifest, `releases/<line>/<id>/manifest.json`.
        sequence: the release's.
        serial: grows by one with each change for this group, rollbacks included.
    """

    line: str
    group: str
    release: str
    manifest: str
    sequence: int
    serial: int

    def __post_init__(self) -> None:
        check_sha256(self.release)
        check_key(self.manifest)
