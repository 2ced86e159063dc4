"""What is kept where below the store's root: every key and every folder, by what it holds.

Keys that stand here are written nowhere else, and none of them ever changes: state of earlier versions must open.
Functions without a file's ending in their key are folders, or the prefixes of journals.
"""

from __future__ import annotations

import re
from typing import Any

ASSETS = {
    "edgeloop.dataset": "dataset",
    "edgeloop.trained_model": "trained_model",
    "edgeloop.candidates": "candidates",
    "edgeloop.chosen_model": "chosen_model",
    "edgeloop.engines": "engines",
    "edgeloop.release_record": "release",
    "edgeloop.rollout_record": "rollout",
    "edgeloop.fleet_health": "fleet_health",
}
"""Kind of document to the asset that makes it: its newest one is the asset's head, and its steps are the asset's."""

MANIFEST, INBOX = "manifest.json", "inbox"
"""In a line's landing zone: a batch's manifest, and the folder of plain drops; no batch's folder has its name."""

AUDIT, AUDIT_HEAD = "audit", "audit/head/newest.json"
DEVICES, DEVICE_JOURNAL = "devices", "devices/.journal"
REPORTS, LINES_PAGE = "reports", "reports/index.html"
TUF_METADATA, TUF_TIMESTAMP, TUF_LOCK = "tuf/metadata", "tuf/metadata/timestamp.json", "tuf/.lock"
DEMO, DEMO_SUMMARY = "demo", "demo/summary.json"
CACHE, KEYS, LOCKS, LOGS, SCRATCH = "cache", "keys", "locks", "logs", "scratch"
"""Of this machine, where the store is a folder of it: decoded pictures, private keys, and what is being unpacked."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def entry(prefix: str, position: int) -> str:
    """A journal's entry: the journal is all of them below `prefix`."""
    return f"{prefix}/{position:012d}.json"


def lock(name: str) -> str:
    """What one process of this machine holds."""
    return f"locks/{name}.lock"


# landing/: what came in, as it came in


def landing(line: str) -> str:
    """A line's landing zone: a folder for each batch."""
    return f"landing/{line}"


def landings(line: str) -> str:
    """Journal of what became ready."""
    return f"landing/{line}/.journal"


def ready(line: str, batch: str, again: str = "") -> str:
    """Where in the journal a batch is listed; `again` for each time it is to be judged anew."""
    return f"landing/{line}/.ready/{batch}{f'.{again}' if again else ''}.json"


def drops(line: str, part: int) -> str:
    """The folders that the journal's entries of one thousand name."""
    return f"landing/{line}/.drops/{part:09d}.json"


def landed_files(line: str, drop: str) -> str:
    """A landed batch's files."""
    return f"landing/{line}/{drop}/files"


def manifest(line: str, drop: str) -> str:
    """A landed batch's manifest, written last."""
    return f"landing/{line}/{drop}/{MANIFEST}"


def erased(line: str, drop: str) -> str:
    """What a landed batch's files hold since records in them were forgotten."""
    return f"landing/{line}/{drop}/erased.json"


def filtered(line: str, drop: str) -> str:
    """By which privacy settings a landed batch was filtered."""
    return f"landing/{line}/{drop}/filtered.txt"


def inbox(line: str) -> str:
    """Where plain files and folders are dropped."""
    return f"landing/{line}/{INBOX}"


def inbox_seen(line: str) -> str:
    """What every drop looked like when it was last looked at."""
    return f"landing/{line}/.inbox/seen.json"


def inbox_taken(line: str) -> str:
    """Drops whose batch is listed, and which of their files are to be cleared away."""
    return f"landing/{line}/.inbox/taken"


def left_out(line: str, batch: str) -> str:
    """Files of a drop that could not be landed."""
    return f"landing/{line}/.left-out/{batch[:16]}"


# store/: what was made of it


def artifacts(line: str) -> str:
    """Everything of a line, or of a model without one, that is named by its digest."""
    return f"store/{line}/artifacts"


def head(line: str, asset: str) -> str:
    """The newest result of an asset."""
    return f"store/{line}/heads/{asset}.json"


def steps(line: str, asset: str) -> str:
    """Every result of an asset that is remembered, by the digest of what it was made from."""
    return f"store/{line}/steps/{asset}"


def verdicts(line: str) -> str:
    """The standing verdict of every batch that was judged."""
    return f"store/{line}/verdicts"


def verdict(line: str, batch: str) -> str:
    """The gate's standing verdict on a batch; it exists exactly when the batch was judged."""
    return f"store/{line}/verdicts/{batch}.json"


def verdict_history(line: str, batch: str) -> str:
    """Journal of the verdicts on a batch that was judged more than once."""
    return f"store/{line}/verdicts/{batch}"


def accepted(line: str) -> str:
    """Journal of accepted batches: a dataset is a prefix of it."""
    return f"store/{line}/accepted"


def generations(line: str) -> str:
    """Journal of the forms in which a line's records were stored: see `assets.records.generation`."""
    return f"store/{line}/generations"


def forgotten(line: str) -> str:
    """The tombstones of a line's forgotten records."""
    return f"store/{line}/forgotten"


def tombstone(line: str, record: str) -> str:
    """The tombstone of a record (64 hex digits)."""
    return f"store/{line}/forgotten/{record}.json"


def trace(line: str, record: str) -> str:
    """Where a forgotten record was (64 hex digits)."""
    return f"store/{line}/forgotten/traces/{record}.json"


def datasets(line: str) -> str:
    """Every dataset version."""
    return f"store/{line}/datasets"


def dataset(line: str, version: str) -> str:
    """A dataset version by its digest, so that later steps read the version a model was trained on."""
    return f"store/{line}/datasets/{version}.json"


def claims(line: str) -> str:
    """Journal of what a retrain was started for."""
    return f"store/{line}/claims"


def attempt(line: str, claim: str, number: int) -> str:
    """The run that worked on a claim, of several one after the other."""
    return f"store/{line}/attempts/{claim}/{number:04d}"


def skips(line: str) -> str:
    """Journal of why no retrain was started."""
    return f"store/{line}/skips"


def checkpoints(line: str) -> str:
    """The last checkpoint of each training under way."""
    return f"store/{line}/checkpoints"


def tries(line: str, search: str) -> str:
    """The tries of a search for settings."""
    return f"store/{line}/tries/{search}.json"


def trials(line: str) -> str:
    """What compression tried, each with `.json` when it is done, `.begun` before, `.crashed` if it ended the process.

    Args:
        line: `*` is a pattern of all of them.
    """
    return f"store/{line}/trials"


def linted(line: str, inputs: str) -> str:
    """That a model's file broke no rule."""
    return f"store/{line}/linted/{inputs}"


def graph(line: str, inputs: str) -> str:
    """The graph that ONNX Runtime loads for a target."""
    return f"store/{line}/graphs/{inputs}.json"


def plan(line: str, inputs: str) -> str:
    """A TensorRT plan."""
    return f"store/{line}/plans/{inputs}.json"


def releases(line: str) -> str:
    """Every release of a line."""
    return f"store/{line}/releases"


def release(line: str, sha256: str) -> str:
    """A release by its manifest's digest."""
    return f"store/{line}/releases/{sha256}.json"


def rollouts(line: str) -> str:
    """A folder for each group of devices that a release was promoted to."""
    return f"store/{line}/rollouts"


def rollout(line: str, group: str) -> str:
    """Journal of a group's promotions."""
    return f"store/{line}/rollouts/{group}"


# quarantine/: what people decide about


def quarantine(line: str) -> str:
    """The records that were held, and why."""
    return f"quarantine/{line}"


def reasons(line: str, batch: str) -> str:
    """Why records of a batch were held or refused."""
    return f"quarantine/{line}/{batch}.json"


def decisions(line: str) -> str:
    """Journal of decisions, revocations and releases."""
    return f"quarantine/{line}/.decisions"


def decided(line: str) -> str:
    """What decisions are about where it is too long for the journal, and corrected files."""
    return f"quarantine/{line}/.decided"


def returns(line: str) -> str:
    """Records that went back as a new batch."""
    return f"quarantine/{line}/.returns"


# reports/ and logs/: what people read


def page(path: str) -> str:
    """What is served at `path`."""
    return f"reports/{path}"


def page_path(key: str) -> str:
    """Where a page is served: the reverse of `page`."""
    return key.removeprefix("reports/")


def line_page(line: str) -> str:
    """A line's page, with its history."""
    return f"reports/{line}/index.html"


def report(line: str, batch: str) -> str:
    """The page of a judged batch."""
    return f"reports/{line}/{batch}/index.html"


def suite_page(line: str, batch: str) -> str:
    """The suite's own page of a judged batch, beside its report."""
    return f"reports/{line}/{batch}/suite.html"


def cards(line: str) -> str:
    """The page over a line's model cards."""
    return f"reports/{line}/models/index.html"


def card(line: str, model: str) -> str:
    """A model's card, by the digest of its float ONNX file. Raises ValueError where it is no name."""
    return f"reports/{line}/models/{_checked(model)}.html"


def training_page(line: str, training: str) -> str:
    """What shows a training while it goes on; the same with `.json` holds the numbers. Raises ValueError."""
    return f"reports/{line}/training/{_checked(training)}.html"


def tensorboard(line: str, training: str) -> str:
    """A training's TensorBoard logs. Raises ValueError where it is no name."""
    return f"logs/tensorboard/{line}/{_checked(training)}"


def searches(line: str) -> str:
    """The page over a line's searches for smaller models."""
    return f"reports/{line}/compression/index.html"


def search(line: str, inputs: str) -> str:
    """The page of a search and of the choice from it, by the digest of what decides both."""
    return f"reports/{line}/compression/{inputs}.html"


# tuf/ and devices/: what devices read and say


def tuf_metadata(path: str) -> str:
    """A signed file of metadata."""
    return f"tuf/metadata/{path}"


def tuf_target(path: str, sha256: str = "") -> str:
    """A target by its path; the repository keeps each with its digest before its name (consistent snapshots)."""
    folder, _, name = path.rpartition("/")
    return f"tuf/targets/{folder}/{sha256}.{name}" if sha256 else f"tuf/targets/{path}"


def device(name: str) -> str:
    """Everything of a device."""
    return f"devices/{name}"


def device_profile(device: str) -> str:
    """A device's profile with its key; it exists exactly when the device is enrolled."""
    return f"devices/{device}/profile.json"


def device_latest(device: str) -> str:
    """A device's last report."""
    return f"devices/{device}/latest.json"


def device_reports(device: str) -> str:
    """A device's reports that said something new, as entries at their sequence."""
    return f"devices/{device}/reports"


# back from a key, or from a document


def line_of(uri: str) -> str:
    """The line that an artifact is of; "" where its key names none."""
    parts = uri.split("/")
    return parts[1] if len(parts) > 2 else ""


def asset_of(document: Any) -> str:
    """The asset that makes such a document (a class or one of it). Raises KeyError where none does."""
    return ASSETS[document.__document__[0]]


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a model or training")
    return name
