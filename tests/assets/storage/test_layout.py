"""Every key of the store, letter by letter: what an earlier version wrote is looked for where it wrote it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.compilation.documents import Engines
from assets.compression.documents import Candidates, ChosenModel
from assets.errors import RejectedError
from assets.feedback.documents import FleetHealth
from assets.records.dataset import DatasetVersion
from assets.release.documents import ReleaseRecord, RolloutRecord
from assets.storage import layout
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import check_key

ROOT = Path(__file__).parents[3]
LAYOUT = ROOT / "assets/storage/layout.py"
FOLDERS = [
    "audit",
    "cache",
    "demo",
    "devices",
    "keys",
    "landing",
    "locks",
    "logs",
    "quarantine",
    "reports",
    "scratch",
    "store",
    "tuf",
]
SHA = "5" * 64

KEYS = [
    (layout.accepted("x"), "store/x/accepted"),
    (layout.artifacts("x"), "store/x/artifacts"),
    (layout.attempt("x", "c", 3), "store/x/attempts/c/0003"),
    (layout.card("x", SHA), f"reports/x/models/{SHA}.html"),
    (layout.cards("x"), "reports/x/models/index.html"),
    (layout.checkpoints("x"), "store/x/checkpoints"),
    (layout.claims("x"), "store/x/claims"),
    (layout.dataset("x", SHA), f"store/x/datasets/{SHA}.json"),
    (layout.datasets("x"), "store/x/datasets"),
    (layout.decided("x"), "quarantine/x/.decided"),
    (layout.decisions("x"), "quarantine/x/.decisions"),
    (layout.device("d"), "devices/d"),
    (layout.device_latest("d"), "devices/d/latest.json"),
    (layout.device_profile("d"), "devices/d/profile.json"),
    (layout.device_reports("d"), "devices/d/reports"),
    (layout.drops("x", 2), "landing/x/.drops/000000002.json"),
    (layout.entry("store/x/accepted", 12), "store/x/accepted/000000000012.json"),
    (layout.erased("x", "monday"), "landing/x/monday/erased.json"),
    (layout.generations("x"), "store/x/generations"),
    (layout.filtered("x", "monday"), "landing/x/monday/filtered.txt"),
    (layout.forgotten("x"), "store/x/forgotten"),
    (layout.graph("x", SHA), f"store/x/graphs/{SHA}.json"),
    (layout.head("x", "engines"), "store/x/heads/engines.json"),
    (layout.inbox("x"), "landing/x/inbox"),
    (layout.inbox_seen("x"), "landing/x/.inbox/seen.json"),
    (layout.inbox_taken("x"), "landing/x/.inbox/taken"),
    (layout.landed_files("x", "monday"), "landing/x/monday/files"),
    (layout.landing("x"), "landing/x"),
    (layout.landings("x"), "landing/x/.journal"),
    (layout.left_out("x", SHA), "landing/x/.left-out/5555555555555555"),
    (layout.line_page("x"), "reports/x/index.html"),
    (layout.linted("x", SHA), f"store/x/linted/{SHA}"),
    (layout.lock("forget-x"), "locks/forget-x.lock"),
    (layout.manifest("x", "monday"), "landing/x/monday/manifest.json"),
    (layout.page("x/a.png"), "reports/x/a.png"),
    (layout.page_path("reports/x/a.png"), "x/a.png"),
    (layout.plan("x", SHA), f"store/x/plans/{SHA}.json"),
    (layout.quarantine("x"), "quarantine/x"),
    (layout.ready("x", SHA), f"landing/x/.ready/{SHA}.json"),
    (layout.ready("x", SHA, "2"), f"landing/x/.ready/{SHA}.2.json"),
    (layout.reasons("x", SHA), f"quarantine/x/{SHA}.json"),
    (layout.release("x", SHA), f"store/x/releases/{SHA}.json"),
    (layout.releases("x"), "store/x/releases"),
    (layout.report("x", SHA), f"reports/x/{SHA}/index.html"),
    (layout.returns("x"), "quarantine/x/.returns"),
    (layout.rollout("x", "main"), "store/x/rollouts/main"),
    (layout.rollouts("x"), "store/x/rollouts"),
    (layout.search("x", SHA), f"reports/x/compression/{SHA}.html"),
    (layout.searches("x"), "reports/x/compression/index.html"),
    (layout.skips("x"), "store/x/skips"),
    (layout.steps("x", "engines"), "store/x/steps/engines"),
    (layout.suite_page("x", SHA), f"reports/x/{SHA}/suite.html"),
    (layout.tensorboard("x", "run-1"), "logs/tensorboard/x/run-1"),
    (layout.tombstone("x", SHA), f"store/x/forgotten/{SHA}.json"),
    (layout.trace("x", SHA), f"store/x/forgotten/traces/{SHA}.json"),
    (layout.training_page("x", "run-1"), "reports/x/training/run-1.html"),
    (layout.trials("x"), "store/x/trials"),
    (layout.tries("x", SHA), f"store/x/tries/{SHA}.json"),
    (layout.tuf_metadata("1.root.json"), "tuf/metadata/1.root.json"),
    (layout.tuf_target("deploy/x/main.json"), "tuf/targets/deploy/x/main.json"),
    (layout.tuf_target("deploy/x/main.json", SHA), f"tuf/targets/deploy/x/{SHA}.main.json"),
    (layout.verdict("x", SHA), f"store/x/verdicts/{SHA}.json"),
    (layout.verdict_history("x", SHA), f"store/x/verdicts/{SHA}"),
    (layout.verdicts("x"), "store/x/verdicts"),
    (layout.AUDIT, "audit"),
    (layout.AUDIT_HEAD, "audit/head/newest.json"),
    (layout.CACHE, "cache"),
    (layout.DEMO, "demo"),
    (layout.DEMO_SUMMARY, "demo/summary.json"),
    (layout.DEVICES, "devices"),
    (layout.DEVICE_JOURNAL, "devices/.journal"),
    (layout.INBOX, "inbox"),
    (layout.KEYS, "keys"),
    (layout.LINES_PAGE, "reports/index.html"),
    (layout.LOCKS, "locks"),
    (layout.LOGS, "logs"),
    (layout.MANIFEST, "manifest.json"),
    (layout.REPORTS, "reports"),
    (layout.SCRATCH, "scratch"),
    (layout.TUF_LOCK, "tuf/.lock"),
    (layout.TUF_METADATA, "tuf/metadata"),
    (layout.TUF_TIMESTAMP, "tuf/metadata/timestamp.json"),
]


@pytest.mark.parametrize(("key", "expected"), KEYS, ids=[expected for _, expected in KEYS])
def test_a_key_stays_what_it_was(key: str, expected: str) -> None:
    assert key == expected
    check_key(key)


def test_the_table_names_everything_that_the_layout_has() -> None:
    tree = ast.parse(Path(__file__).read_text())
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    functions = {node.name for node in ast.parse(LAYOUT.read_text()).body if isinstance(node, ast.FunctionDef)}
    constants = {name for name in vars(layout) if name.isupper() and name != "ASSETS"}
    assert {name for name in functions | constants if not name.startswith("_")} <= named


def test_an_artifact_tells_its_line(tmp_path: Path) -> None:
    assert layout.line_of(Store(str(tmp_path)).put("x", b"bytes", "json", ".json").uri) == "x"
    assert layout.line_of(f"{layout.quarantine('x')}/{SHA}.parquet") == "x"
    assert layout.line_of("golden.json") == ""


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 201])
def test_no_page_is_outside_its_folder(name: str) -> None:
    for key in (layout.card, layout.training_page, layout.tensorboard):
        with pytest.raises(ValueError, match="is no name"):
            key("x", name)


@pytest.mark.parametrize(
    ("document", "asset"),
    [
        (DatasetVersion, "dataset"),
        (TrainedModel, "trained_model"),
        (Candidates, "candidates"),
        (ChosenModel, "chosen_model"),
        (Engines, "engines"),
        (ReleaseRecord, "release"),
        (RolloutRecord, "rollout"),
        (FleetHealth, "fleet_health"),
    ],
)
def test_a_document_has_its_asset(tmp_path: Path, document: type, asset: str) -> None:
    assert layout.asset_of(document) == asset
    with pytest.raises(RejectedError, match=f"line 'x' has no {asset} yet; materialize x/{asset} first"):
        Store(str(tmp_path)).newest("x", document)


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string, a formatted one by what it begins with; docstrings are none of them."""
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


def test_no_other_file_writes_a_key() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for folder in ("assets", "platform_defs")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != LAYOUT
        for line, text in _literals(path)
        if text.startswith(tuple(f"{name}/" for name in FOLDERS))
    ]
    assert not found, "write it as a function of assets/storage/layout.py:\n" + "\n".join(found)
