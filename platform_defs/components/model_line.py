"""A line as a Dagster component: one YAML becomes an asset group, two sensors and a schedule."""

from __future__ import annotations

from typing import Self

import dagster as dg
from pydantic import BaseModel

from assets.compilation.assets import build_assets as build_compilation
from assets.compression.assets import build_assets as build_compression
from assets.feedback.assets import build_assets as build_feedback
from assets.line.config import Line, LineConfig
from assets.line.profiles import chosen_profile
from assets.quality.assets import build_assets as build_quality
from assets.release.assets import build_assets as build_release
from assets.rollout.assets import build_assets as build_rollout
from assets.training.assets import build_assets as build_training
from platform_defs.automation import build_automation
from platform_defs.components.scaffolder import ModelLineScaffolder

ROOMS = (
    build_quality,
    build_training,
    build_compression,
    build_compilation,
    build_release,
    build_rollout,
    build_feedback,
)
DATA_ROOMS = (build_quality, build_training, build_feedback)
"""Those of a line without a model, which checks and collects data only."""


@dg.scaffold_with(ModelLineScaffolder)
class ModelLine(dg.Component):
    """One thing being learned and shipped, from its data contract to its rollout policy.

    The line's name is its folder's name.
    """

    def __init__(self, line: Line) -> None:
        self.line = line

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's schema, with help text per field."""
        return LineConfig

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Build the component from validated attributes, as the chosen profile has them."""
        assert isinstance(attributes, LineConfig)
        return cls(Line(context.path.name, attributes).in_profile(chosen_profile()))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The line's assets, jobs, sensors and schedule."""
        return line_definitions(self.line)


def line_definitions(line: Line) -> dg.Definitions:
    """A line's assets, jobs, sensors and schedule."""
    rooms = ROOMS if line.config.model is not None else DATA_ROOMS
    assets = [asset for build in rooms for asset in build(line)]
    return dg.Definitions.merge(dg.Definitions(assets=assets), build_automation(line))
