"""What `dg scaffold defs platform_defs.components.ModelLine NAME` writes: a line that loads and runs as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import click
import dagster as dg
import yaml
from pydantic import BaseModel, Field

from assets.errors import LineError
from assets.line.config import parse_line
from assets.line.families import FAMILIES
from assets.line.readers import READERS, Reader

HEADER = """\
# A line: one thing being learned and shipped. Its name is this folder's name.
# Land data with:  edgeloop land {name} FOLDER_OR_FILE     then watch:  make ui
# Every field and its allowed values:  docs/lines.md. A `data` section for what you have:  edgeloop inspect SOURCE
"""
COLLECTS = "# No task learns from such data yet: this line checks and collects it. Records stay for when one does.\n"
MODELS: Mapping[str, Mapping[str, Any]] = {
    "image": {"family": "cnn", "width": 32, "depth": 3},
    "table": {"family": "mlp", "width": 64, "depth": 2},
    "series": {"family": "gru", "width": 64, "depth": 1},
    "text": {"family": "embedding_gru", "width": 64, "depth": 1},
}
"""Section of the data to the model that a first run starts with; none where no task reads such data."""
FEATURES: Mapping[str, Mapping[str, int]] = {"series": {"steps": 30}, "text": {"tokens": 64, "buckets": 8192}}


class LineParams(BaseModel):
    """What the scaffolder may be told. `edgeloop inspect SOURCE` writes a `data` section for what is there."""

    reader: Literal[Reader, "csv"] = Field(
        default="image_folder", description="The form of the data; csv says the same as table."
    )
    classes: str = Field(
        default="negative,positive",
        description="The classes, separated by commas; '' of tables and series predicts a number.",
    )
    target: str = Field(
        default="label", description="Of tables, series and texts: the column that holds the class or number."
    )
    columns: str = Field(default="x1,x2", description="Of tables and series: the numeric input columns, by commas.")


class ModelLineScaffolder(dg.Scaffolder[LineParams]):
    """Writes `defs.yaml` with a complete, valid line."""

    @classmethod
    def get_scaffold_params(cls) -> type[LineParams]:
        """The parameters `dg scaffold defs` offers as flags."""
        return LineParams

    def scaffold(self, request: dg.ScaffoldRequest[LineParams]) -> None:
        """Write the line's YAML, validated before it is written.

        Raises:
            click.ClickException: a parameter is out of its range; `dg` prints its text alone.
        """
        name = request.target_path.name
        attributes = line_attributes(request.params)
        try:
            parse_line(name, attributes, str(request.target_path / "defs.yaml"))
        except LineError as error:
            request.target_path.rmdir()  # `dg` made it; left there, the name would be taken
            raise click.ClickException(str(error)) from error
        head = HEADER.format(name=name) + ("" if "model" in attributes else COLLECTS)
        body = yaml.safe_dump({"type": request.type_name, "attributes": attributes}, sort_keys=False)
        (request.target_path / "defs.yaml").write_text(head + body)


def options_text() -> str:
    """What `make line ARGS=--help` prints: every option with its default and what it may say."""
    lines = ["Usage: make line NAME=my-line ARGS='[OPTIONS]'", "", "Options:"]
    for name, field in LineParams.model_fields.items():
        lines += [f"  --{name} TEXT", f"      {field.description}", f"      Default: {field.default}"]
        choices = [word for part in (field.annotation, *get_args(field.annotation)) for word in _words(part)]
        lines += [f"      One of: {', '.join(dict.fromkeys(choices))}"] if choices else []
    made = (
        "Makes platform_defs/lines/NAME/defs.yaml, a line that loads and runs as it is. docs/lines.md says what every "
    )
    return "\n".join([*lines, "", f"{made}field means;", "`edgeloop inspect SOURCE` writes the section `data`."])


def _words(annotation: Any) -> list[str]:
    return [word for word in get_args(annotation) if isinstance(word, str)]


def line_attributes(params: LineParams) -> dict[str, Any]:
    """A complete line for the given data, with settings that suit a first run on a laptop."""
    reader = "table" if params.reader == "csv" else params.reader
    data: dict[str, Any] = {"reader": reader}
    if classes := _split(params.classes):
        data["classes"] = classes
    section = READERS[reader].section
    if section == "image":
        side, channels = (28, 1) if reader == "idx" else (32, 3)
        data["image"] = {"height": side, "width": side, "channels": channels}
    elif section == "table":
        data["table"] = {"target": params.target, "columns": _split(params.columns)}
    elif section == "series":
        data["series"] = {"unit": "unit", "time": "time", "target": params.target, "columns": _split(params.columns)}
    elif section == "text":
        data["text"] = {"column": "text", "target": params.target}
    else:
        data["audio"] = {"rate": 16_000, "seconds": 1.0}
    if READERS[reader].form == "arrays":
        data["carve"] = ["validation"]  # these sets declare train and test only
    model = MODELS.get(section)
    made: dict[str, Any] = {
        "description": "Say in one sentence what this line learns.",
        "data": data,
        "quality": {"min_records": 20, "max_bad_share": 0.05},
        "features": dict(FEATURES.get(section, {})),
        "model": model and dict(model),
        "training": {"epochs": 20, "batch_size": 64, "learning_rate": 0.003},
        "compress": {"prune": [0.3] if model and FAMILIES[model["family"]].prunable else [], "distill_epochs": 10},
        "budget": {"max_drop": 0.02},
        "targets": ["cpu-x86"],
        "retrain": {"min_new_records": 1, "nightly": "0 2 * * *"},
        "rollout": {"promotion": "manual", "group": "canary"},
    }
    if model:
        return {key: value for key, value in made.items() if key != "features" or value}
    return {key: made[key] for key in ("description", "data", "quality", "retrain")}  # it collects data only


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
