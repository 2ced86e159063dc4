"""Every type that crosses between the platform and a device: frozen, versioned, JSON."""

from edge.contracts.artifact import ArtifactRef, check_key, check_sha256
from edge.contracts.codec import digest, document, from_bytes, to_bytes
from edge.contracts.envelope import Envelope
from edge.contracts.evidence import Evidence, Latency, Metric, ParityVerdict, chain_gap
from edge.contracts.model import CLASS_ANSWER, MAX_BATCH, AnswerSpec, GoldenRecord, GoldenSet, InputSpec, RowFiles
from edge.contracts.recipe import BuildRecipe, InputShapes
from edge.contracts.release import Deployment, PlanHeader, Provenance, ReleaseArtifact, ReleaseManifest
from edge.contracts.report import DeviceReport, SelfTest
from edge.contracts.target import TARGETS, DeviceProfile, TargetProfile, is_name

__all__ = [
    "CLASS_ANSWER",
    "MAX_BATCH",
    "TARGETS",
    "AnswerSpec",
    "ArtifactRef",
    "BuildRecipe",
    "Deployment",
    "DeviceProfile",
    "DeviceReport",
    "Envelope",
    "Evidence",
    "GoldenRecord",
    "GoldenSet",
    "InputShapes",
    "InputSpec",
    "Latency",
    "Metric",
    "ParityVerdict",
    "PlanHeader",
    "Provenance",
    "ReleaseArtifact",
    "ReleaseManifest",
    "RowFiles",
    "SelfTest",
    "TargetProfile",
    "chain_gap",
    "check_key",
    "check_sha256",
    "digest",
    "document",
    "from_bytes",
    "is_name",
    "to_bytes",
]
