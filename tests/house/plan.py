"""The plan of the house: every room from the ground up, written once. Tests enforce it and `docs/house.md` draws it.

A room may use the rooms before it in its wing and everything that stands below. The two wings do not know each other.
"""

from __future__ import annotations

from typing import NamedTuple


class Room(NamedTuple):
    """A folder or a file right below a package, and what it is for in one sentence."""

    name: str
    purpose: str


DEVICE = (
    Room("edge.errors", "What can go wrong, as a tree."),
    Room("edge.lock", "The one file lock."),
    Room("edge.child", "The one starter of child processes."),
    Room("edge.contracts", "Documents that platform and device share, and the envelope a report is signed in."),
    Room("edge.engine", "Building TensorRT engines, and deciding which may run where."),
    Room("edge.runtime", "From a file to an answer: preprocessing, sessions, the self-test."),
    Room("edge.agent", "The device's own loop: poll, fetch, try, switch, report."),
)
CELLAR = (
    Room("assets.errors", "What can go wrong, as a tree."),
    Room("assets.line", "A line as people write it: its sections, validated once."),
    Room("assets.storage", "Bytes, documents and journals below one root, and which key is whose."),
    Room("assets.evaluation", "How good and how fast a model is, measured in one way everywhere."),
    Room("assets.pages", "What pages for people have in common: templates, plots, thumbnails."),
    Room("assets.records", "Records, batches, verdicts and datasets, and the line bound to its store."),
    Room("assets.processes", "Heavy steps in processes or pods of their own."),
)
DATA_WING = (
    Room("assets.readers", "From files of any form to records."),
    Room("assets.ingest", "Landing a batch: sources, inbox, privacy, inspection."),
    Room("assets.review", "Quarantine gives back: decisions, waivers, returns."),
    Room("assets.quality", "The gate: rules, checks, drift, the verdict and its report."),
)
MODEL_WING = (
    Room("assets.families", "Networks, and how they are exported."),
    Room("assets.tasks", "What is learned: losses, metrics, golden records of each task."),
    Room("assets.fitting", "The training loop: batches, schedules, checkpoints, early stopping."),
    Room("assets.loading", "From a dataset version to tensors, cached on disk."),
    Room("assets.training", "The teacher: dataset, search, training, verification, model card."),
    Room("assets.compression", "Smaller models: pruning, distillation, quantization, and the choice under a budget."),
    Room("assets.compilation", "Lint, and an artifact for each target."),
    Room("assets.release", "The signed manifest and its repository."),
    Room("assets.feedback", "What devices report, and the fleet's health."),
    Room("assets.rollout", "Which group of devices runs which release."),
)
CONDUCTORS = (
    Room("assets.forgetting", "Taking a record out of everything that was made of it."),
    Room("assets.standalone", "Compressing any ONNX file, without a line."),
)
WIRING = (
    Room("platform_defs.home", "Where the state is kept when nobody says so."),
    Room("platform_defs.catalog", "Which lines there are."),
    Room("platform_defs.resources", "What Dagster hands to every asset."),
    Room("platform_defs.made", "Data sets that shipped lines make for themselves."),
    Room("platform_defs.automation", "Jobs, sensors, schedules and the lock of a line."),
    Room("platform_defs.components", "A line as a Dagster component."),
    Room("platform_defs.lines", "The shipped lines, a YAML each."),
    Room("platform_defs.definitions", "The code location."),
    Room("platform_defs.web", "Reports, review and the device gateway over HTTP."),
    Room("platform_defs.local", "Everything on one machine: instance, runner, UI."),
    Room("platform_defs.demo", "The whole loop on handwritten digits."),
    Room("platform_defs.cli", "`edgeloop`, command by command."),
)
ROOMS = (*DEVICE, *CELLAR, *DATA_WING, *MODEL_WING, *CONDUCTORS, *WIRING)
APART = (frozenset(room.name for room in DATA_WING), frozenset(room.name for room in MODEL_WING))
"""The wings: no room of one imports a room of the other."""

HEAVY = frozenset(
    {
        *("PIL", "captum", "cryptography", "dagster", "great_expectations", "jinja2", "kubernetes", "numpy", "onnx"),
        *("onnxruntime", "onnxscript", "opacus", "optuna", "pandas", "psutil", "pyarrow", "pytorch_lightning", "rich"),
        *("safetensors", "scipy", "securesystemslib", "sklearn", "starlette", "tensorboard", "tensorrt"),
        *("tensorrt_rtx_bindings", "timm", "torch", "torch_pruning", "tuf", "urllib3", "uvicorn", "zstandard"),
    }
)
"""Libraries that may wait until they are used: an import inside a function is for these, and for what brings them."""
