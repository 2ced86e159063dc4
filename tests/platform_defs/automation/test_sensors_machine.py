"""Whatever happens in whatever order: every batch is judged under one key per attempt, and trained on exactly once."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict

import dagster as dg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from assets.errors import RejectedError
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.training.triggers.claims import CLAIM_TAG, claim_journal, last_claim, next_claim, start_claim
from assets.training.triggers.policy import everything
from platform_defs.automation.jobs import BATCH_TAG
from platform_defs.automation.schedules import nightly_work
from tests.platform_defs.automation.automation_bench import Bench

FAILURE, SUCCESS, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED
MOST = 1
sensors = st.sampled_from(["new", "reconcile"])


class Automation(RuleBasedStateMachine):
    """A line's sensors and schedule, a daemon that dies at any point, and runs that end in any way."""

    def __init__(self) -> None:
        super().__init__()
        self.instance = dg.DagsterInstance.ephemeral()
        store = Store(f"memory://{uuid.uuid4().hex}")
        self.bench = Bench(store, self.instance, retrain={"max_retries": MOST})
        self.nights = 0

    @rule(number=st.integers(0, 9))
    def land(self, number: int) -> None:
        """A batch lands; of a few numbers, so that some land again."""
        self.bench.list_landing(number)

    @rule(number=st.integers(0, 9))
    def land_and_accept(self, number: int) -> None:
        """Nothing goes wrong until the batch is accepted."""
        self.land(number)
        self.tick("new")
        while self.bench.active("judge"):
            self.judge("accepted", 0)

    @rule(sensor=sensors)
    def tick(self, sensor: str) -> None:
        self.bench.tick(sensor)

    @rule(sensor=sensors, most_runs=st.integers(0, 2))
    def tick_and_die(self, sensor: str, most_runs: int) -> None:
        """The daemon dies after it made some of the runs and before it kept the cursor."""
        self.bench.tick(sensor, keep_cursor=False, most_runs=most_runs)

    @rule(dies=st.booleans())
    def night(self, dies: bool) -> None:
        self.nights += 1
        bench = self.bench
        request = nightly_work(bind(bench.store, bench.line), bench.jobs, self.instance, f"nightly-{self.nights}")
        if isinstance(request, dg.RunRequest) and not dies:
            bench.start("nightly", request.with_replaced_attrs(job_name=bench.jobs.retrain.name))

    @rule()
    def command_that_dies(self) -> None:
        """`edgeloop run` claims and is killed before its run exists, where the claim is its to make."""
        bench = self.bench
        last = last_claim(LineStore(bench.store, "tiny"))
        if last is None or self._succeeded(last.run_key):
            next_claim(LineStore(bench.store, "tiny"), "command", 0.0, everything)

    @rule(outcome=st.sampled_from(["accepted", "accepted", "blocked", "crash"]), which=st.integers(0, 9))
    def judge(self, outcome: str, which: int) -> None:
        runs = self.bench.active("judge")
        if runs:
            self.bench.judge_run(runs[which % len(runs)], outcome)

    @rule(status=st.sampled_from([SUCCESS, SUCCESS, FAILURE, CANCELED]), which=st.integers(0, 9))
    def train(self, status: dg.DagsterRunStatus, which: int) -> None:
        runs = self.bench.active("retrain")
        if not runs:
            return
        run = runs[which % len(runs)]
        try:
            if key := run.tags.get(CLAIM_TAG):
                start_claim(LineStore(self.bench.store, "tiny"), key, run.run_id, self._ended_badly)
        except RejectedError:
            status = FAILURE
        self.bench.end(run.run_id, status)

    def _ended_badly(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        return run is None or run.status in {FAILURE, CANCELED}

    def _succeeded(self, key: str) -> int:
        runs = self.instance.get_runs(filters=dg.RunsFilter(tags={CLAIM_TAG: key}))
        return sum(run.is_success for run in runs)

    @invariant()
    def one_key_per_attempt(self) -> None:
        attempts: dict[str, list[str]] = defaultdict(list)
        for run in self.instance.get_runs():
            if BATCH_TAG in run.tags:
                attempts[run.tags[BATCH_TAG]].append(run.tags["dagster/run_key"])
        for batch, found in attempts.items():
            expected = [batch, *(f"{batch}:retry{retry}" for retry in range(1, MOST + 1))]
            assert sorted(found) == expected[: len(found)]

    @invariant()
    def one_attempt_at_a_time(self) -> None:
        judged = Counter(run.tags[BATCH_TAG] for run in self.bench.active("judge"))
        assert set(judged.values()) <= {1}
        claimed = [run.tags[CLAIM_TAG] for run in self.bench.active("retrain") if CLAIM_TAG in run.tags]
        last = last_claim(LineStore(self.bench.store, "tiny"))
        assert claimed in ([], [last.run_key if last else ""])

    def teardown(self) -> None:
        """Let everything work from now on: nothing may be lost, and nothing trained on twice."""
        for _ in range(4):
            for sensor in ("new", "reconcile"):
                self.bench.tick(sensor)
            self.night(dies=False)
            while self.bench.active("judge"):
                self.judge("accepted", 0)
            while self.bench.active("retrain"):
                self.train(SUCCESS, 0)
        store = self.bench.store
        landed = {landing.batch for _, landing in LineStore(store, "tiny").landings().after(0)}
        crashed = Counter(run.tags[BATCH_TAG] for run in self.instance.get_runs() if BATCH_TAG in run.tags)
        verdicts = {batch for batch in landed if store.exists(f"store/tiny/verdicts/{batch}.json")}
        assert all(crashed[batch] == MOST + 1 for batch in landed - verdicts), (
            "only what failed too often is not judged"
        )
        trained: Counter[str] = Counter()
        for _, claim in claim_journal(LineStore(store, "tiny")).after(0):
            trained.update(claim.batches * self._succeeded(claim.run_key))
        assert trained == Counter(entry.batch for _, entry in LineStore(store, "tiny").accepted_batches())
        self.instance.dispose()


class TestAutomation(Automation.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=15, stateful_step_count=50, deadline=None)
