"""The golden self-test in a process of its own: a runtime that crashes or hangs takes the test down, not the agent.

`python -m edge.agent.trial SLOT TARGET` is the child. It opens the very file that would be activated.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from edge.child import answer_pipe, die_with_parent, ending, python_module, run_child
from edge.contracts import GoldenSet, ReleaseArtifact, ReleaseManifest, SelfTest, document, from_bytes, to_bytes
from edge.errors import ContractError, EdgeError, IncompatibleError, SelfTestError, TransientError

SECONDS = 120.0


@document("edgeloop.trial")
@dataclass(frozen=True)
class TrialAnswer:
    """What the child found: a self-test, or why it could not be run on this device.

    Attributes:
        transient: it may run at another time, e.g. when the GPU's memory is free again.
    """

    self_test: SelfTest | None
    refused: str = ""
    transient: bool = False


def run_trial(slot: Path, target: str, seconds: float = SECONDS) -> SelfTest:
    """Test the artifact for `target` in a release's folder.

    Returns:
        A self-test that passed.

    Raises:
        SelfTestError: it ran and failed.
        IncompatibleError: this device cannot open the artifact.
        TransientError: it did not come to an end: it crashed, was ended (memory), took longer than `seconds`, or met a
            fault that may pass.
    """
    ended = run_child(python_module("edge.agent.trial", str(slot), target), seconds)
    if ended.late:
        raise TransientError(
            f"the self-test of {target} took longer than {seconds:.0f} s; the device is too slow "
            "for this artifact, or its runtime hangs"
        )
    if ended.code != 0:
        how = f"crashed ({ending(ended.code)})" if ended.code < 0 else f"ended with {ending(ended.code)}"
        said = " ".join(ended.errors[-600:].split()) or "nothing"
        raise TransientError(f"the self-test of {target} {how}; it said: {said}")
    try:
        found = from_bytes(TrialAnswer, ended.output, "self-test")
    except ContractError as error:
        raise TransientError(f"the self-test of {target} gave no readable answer ({error})") from error
    if found.transient:
        raise TransientError(f"{target}: {found.refused}")
    if found.self_test is None:
        raise IncompatibleError(f"{target}: {found.refused}")
    if not found.self_test.passed:
        raise FailedSelfTestError(found.self_test, target)
    return found.self_test


class FailedSelfTestError(SelfTestError):
    """A self-test that ran and failed; `self_test` holds its numbers."""

    def __init__(self, self_test: SelfTest, target: str) -> None:
        super().__init__(f"the self-test of {target} failed: {self_test.reason}")
        self.self_test = self_test


def find_artifact(manifest: ReleaseManifest, target: str) -> ReleaseArtifact:
    """The artifact for `target`. Raises IncompatibleError."""
    for artifact in manifest.artifacts:
        if artifact.target.name == target:
            return artifact
    raise IncompatibleError(f"the release has no artifact for {target!r}")


def main(argv: list[str]) -> int:
    """The child: tests, and answers on what was its standard output."""
    die_with_parent()
    answer = answer_pipe()
    slot, target = Path(argv[0]), argv[1]
    try:
        found = TrialAnswer(_test(slot, target))
    except EdgeError as error:
        found = TrialAnswer(None, str(error), transient=isinstance(error, TransientError))
    with answer:
        answer.write(to_bytes(found))
    return 0


def _test(slot: Path, target: str) -> SelfTest:
    from edge.runtime.selftest import self_test
    from edge.runtime.session import open_session
    from edge.runtime.signature import check_signature

    manifest = from_bytes(ReleaseManifest, (slot / "manifest.json").read_bytes(), "manifest.json")
    golden = from_bytes(GoldenSet, (slot / manifest.golden.uri).read_bytes(), manifest.golden.uri)
    artifact = find_artifact(manifest, target)
    session = open_session(artifact, slot / artifact.file.uri)
    check_signature(session, manifest.input, manifest.output, manifest.labels, manifest.answer)
    return self_test(session, golden, manifest.input, artifact.file.sha256, manifest.answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
