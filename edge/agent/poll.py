"""One poll: what is offered, is it sound, does it work here, then use it; and say what came of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge import __version__
from edge.agent import slots
from edge.agent.fetch import MAX_ROOT_BYTES, Repository
from edge.agent.home import Enrolment, Home, Refusal, State, read_limited, write_durably
from edge.agent.identity import detect_profile, device_key, public_hex
from edge.agent.report import Event, flush, queue, queued
from edge.agent.trial import FailedSelfTestError, run_trial
from edge.contracts import Deployment, DeviceProfile, ReleaseArtifact, ReleaseManifest, SelfTest, from_bytes
from edge.contracts.codec import MAX_DOCUMENT_BYTES
from edge.engine.decide import check_plan, decide
from edge.errors import (
    ContractError,
    IncompatibleError,
    RejectedError,
    SelfTestError,
    TransientError,
    VerificationError,
)

MAX_DEPLOYMENT_BYTES = 64 * 1024
MAX_TRIES = 3
Trial = Callable[[Path, str], SelfTest]
Detect = Callable[[Enrolment, str], DeviceProfile]


@dataclass(frozen=True)
class Outcome:
    """What a poll did.

    Attributes:
        event: as in `DeviceReport`; "refused" means that the release before it still serves.
        release: id of what is in use now; "" where nothing is yet.
        offered: id of what the server offered; "" where it could not be read.
        waiting: reports that the server has not taken yet.
        notes: what else a person should know, e.g. that the server could not take the report.
    """

    event: Event
    release: str
    offered: str
    target: str
    reason: str
    self_test: SelfTest | None = None
    waiting: int = 0
    notes: tuple[str, ...] = ()


def poll(home: Home, trial: Trial = run_trial, detect: Detect = detect_profile, retry: bool = False) -> Outcome:
    """Look once at what is offered, follow it or refuse it, and report.

    Args:
        trial: runs the self-test in a child process.
        detect: says what this device is.
        retry: try again a release that was refused before for what it is.

    Raises:
        NotEnrolledError: there is no device in this home.
        TransientError: the server is away; what served before still serves.
    """
    enrolment = home.enrolment()
    with home.locked():
        state, went_back = slots.recover(home)
        if retry and state.refusal is not None:
            state = replace(state, refusal=None)
            home.save_state(state)
        key = device_key(home.key)
        profile = detect(enrolment, public_hex(key))
        if went_back:
            queue(home, enrolment, state, key, "rolled_back", state.deployed, went_back, None)
        elif state.active != state.told:
            reason = "now in use; the agent was interrupted before it could say so"
            queue(home, enrolment, state, key, "activated", state.active, reason, None)
        outcome = _Poll(home, enrolment, profile, trial).run()
        queue(home, enrolment, home.state(), key, outcome.event, outcome.offered, outcome.reason, outcome.self_test)
        return _send(home, outcome, lambda: flush(home, enrolment, key, profile))


def _send(home: Home, outcome: Outcome, send: Callable[[], tuple[int, list[str]]]) -> Outcome:
    """Reporting never changes what is active, so its failures are notes."""
    try:
        _, notes = send()
    except (TransientError, RejectedError) as error:
        notes = [str(error)]
    return replace(outcome, waiting=len(queued(home)), notes=tuple(notes))


class _PostponedError(TransientError):
    """The self-test could not be finished this time; it is reported, and not held against the release yet."""


@dataclass
class _Poll:
    home: Home
    enrolment: Enrolment
    profile: DeviceProfile
    trial: Trial
    offered: str = ""

    def run(self) -> Outcome:
        try:
            return self._follow()
        except _PostponedError as error:
            state = self.home.state()
            return Outcome("refused", state.active, self.offered, state.target, str(error))
        except RejectedError as error:
            state = self.home.state()
            tested = error.self_test if isinstance(error, FailedSelfTestError) else None
            return Outcome("refused", state.active, self.offered, state.target, str(error), tested)

    def _follow(self) -> Outcome:
        home, state = self.home, self.home.state()
        root = read_limited(home.root, MAX_ROOT_BYTES)
        repository = Repository(self.enrolment.server, home.path / "metadata", root, state.floor)
        state = replace(state, floor=max(state.floor, time.time()))
        path = f"deploy/{self.enrolment.line}/{self.enrolment.group}.json"
        data = repository.read(path, MAX_DEPLOYMENT_BYTES)
        if data is None:
            home.save_state(state)
            reason = f"nothing is rolled out to group {self.enrolment.group!r} of line {self.enrolment.line!r} yet"
            return Outcome("unchanged", state.active, "", state.target, reason)
        deployment = from_bytes(Deployment, data, path)
        self.offered = deployment.release
        check_deployment(deployment, self.enrolment, state)
        state = replace(state, deployed=deployment.release, serial=deployment.serial)
        home.save_state(state)
        serving = _serving(home, state)
        if serving is not None and deployment.release == state.active:
            return Outcome("unchanged", state.active, deployment.release, state.target, "already in use")
        self._check_refusal(state, deployment)
        try:
            return self._switch(repository, deployment, state, serving)
        except (ContractError, IncompatibleError, SelfTestError) as error:
            self._remember(deployment, str(error))
            raise

    def _switch(
        self, repository: Repository, deployment: Deployment, state: State, serving: ReleaseManifest | None
    ) -> Outcome:
        release = deployment.release
        manifest_bytes, manifest = _manifest(repository, deployment)
        decision = decide(manifest, self.profile)
        if decision.action != "run" or decision.artifact is None:
            need = "" if decision.action == "refuse" else "; building on the device is not supported yet"
            raise IncompatibleError(f"{decision.reason}{need}")
        artifact = decision.artifact
        self._provide(repository, deployment, manifest_bytes, manifest, artifact)
        if artifact.file.kind == "plan":
            plan = self.home.slot(release) / artifact.file.uri
            check_plan(read_limited(plan, artifact.file.size), artifact, self.profile)
        tested = self._try(release, artifact.target.name)
        back = serving is not None and manifest.sequence < serving.sequence
        state = self.home.state()
        if serving is not None and state.active != release:
            state = replace(state, previous=state.active, previous_target=state.target)
        elif state.previous == release:
            state = replace(state, previous="", previous_target="")
        state = replace(state, active=release, target=artifact.target.name, trial="", tries=0, refusal=None)
        slots.commit(self.home, state)
        event: Event = "rolled_back" if back else "activated"
        reason = f"{decision.reason}; {'went back to' if back else 'now in use:'} sequence {manifest.sequence}"
        return Outcome(event, release, release, artifact.target.name, reason, tested)

    def _provide(
        self,
        repository: Repository,
        deployment: Deployment,
        manifest_bytes: bytes,
        manifest: ReleaseManifest,
        artifact: ReleaseArtifact,
    ) -> None:
        """Make sure that the slot holds the release's files; a slot that is there and sound is used as it is."""
        try:
            slots.verify_slot(self.home, deployment.release, artifact.target.name)
        except RejectedError:
            base = deployment.manifest.rpartition("/")[0]
            with slots.staging(self.home) as folder:
                slots.check_space(folder, manifest.golden.size + artifact.file.size)
                write_durably(folder / "manifest.json", manifest_bytes)
                for file in (manifest.golden, artifact.file):
                    repository.save(f"{base}/{file.uri}", folder / file.uri, file.sha256, file.size)
                slots.install(self.home, folder, deployment.release)
            slots.verify_slot(self.home, deployment.release, artifact.target.name)

    def _try(self, release: str, target: str) -> SelfTest:
        """Count the try durably, then test: a test that takes the device down is not repeated for ever.

        A fault that may pass (a full GPU, a crash, one timeout) does not condemn the release: it is tried at
        `MAX_TRIES` polls.
        """
        state = self.home.state()
        tries = state.tries + 1 if state.trial == release else 1
        if tries > MAX_TRIES:
            raise SelfTestError(
                f"the self-test of {target} was started {MAX_TRIES} times and never finished: it may take the device "
                "down; to try again: edgeloop-agent poll --retry"
            )
        self.home.save_state(replace(state, trial=release, tries=tries))
        try:
            return self.trial(self.home.slot(release), target)
        except TransientError as error:
            if tries < MAX_TRIES:
                raise _PostponedError(f"{error}; try {tries} of {MAX_TRIES}, the next poll tries again") from error
            raise SelfTestError(
                f"{error}; so it was at {MAX_TRIES} tries; to try again: edgeloop-agent poll --retry"
            ) from error

    def _check_refusal(self, state: State, deployment: Deployment) -> None:
        known = state.refusal
        if known is not None and (known.release, known.serial, known.runtimes) == (
            deployment.release,
            deployment.serial,
            self._fingerprint(),
        ):
            raise RejectedError(f"refused before, and nothing changed since: {known.reason}")

    def _remember(self, deployment: Deployment, reason: str) -> None:
        refusal = Refusal(deployment.release, deployment.serial, self._fingerprint(), reason)
        self.home.save_state(replace(self.home.state(), trial="", tries=0, refusal=refusal))

    def _fingerprint(self) -> str:
        """What decides whether a refused release could fare better now: the runtimes, the GPU and this agent."""
        facts = [__version__, self.profile.arch, self.profile.sm, sorted(self.profile.runtimes.items())]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def check_deployment(deployment: Deployment, enrolment: Enrolment, state: State) -> None:
    """Raise VerificationError for a deploy file of another line or group, or one that goes back.

    Going back to an older release takes a greater serial: a person decided it after the release that is in use.
    """
    if (deployment.line, deployment.group) != (enrolment.line, enrolment.group):
        raise VerificationError(f"the deploy file is of line {deployment.line!r}, group {deployment.group!r}")
    if deployment.manifest != f"releases/{deployment.line}/{deployment.release}/manifest.json":
        raise VerificationError(f"the deploy file points at {deployment.manifest}, not at a release of its line")
    if deployment.serial < state.serial:
        raise VerificationError(
            f"the deploy file goes back to serial {deployment.serial}; serial {state.serial} was seen; "
            "refused as a rollback: promote the older release again to go back to it"
        )
    if deployment.serial == state.serial and state.deployed and deployment.release != state.deployed:
        raise VerificationError(
            f"the deploy file names another release under the same serial {state.serial}; promote it again"
        )


def _manifest(repository: Repository, deployment: Deployment) -> tuple[bytes, ReleaseManifest]:
    path = deployment.manifest
    data = repository.read(path, MAX_DOCUMENT_BYTES)
    if data is None:
        raise VerificationError(f"{path}: the deploy file points at it, but no release key has signed it")
    if hashlib.sha256(data).hexdigest() != deployment.release:
        raise VerificationError(f"{path}: is not the manifest of release {deployment.release[:12]}")
    manifest = from_bytes(ReleaseManifest, data, path)
    if (manifest.line, manifest.sequence) != (deployment.line, deployment.sequence):
        raise VerificationError(f"{path}: line or sequence are not what the deploy file says")
    for file in (manifest.golden, *(artifact.file for artifact in manifest.artifacts)):
        if "/" in file.uri or file.uri.startswith(".") or file.uri == "manifest.json":
            raise ContractError(f"{path}: {file.uri!r} is not a plain file name")
    return data, manifest


def _serving(home: Home, state: State) -> ReleaseManifest | None:
    """The manifest of the release in use, every byte of its slot checked; None where nothing sound is in use."""
    if not state.active:
        return None
    try:
        return slots.verify_slot(home, state.active, state.target)[0]
    except RejectedError:
        return None
