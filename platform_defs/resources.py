"""What assets and sensors are given."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.storage.store import Store
from platform_defs.home import find_home


class RefusingIOManager(dg.IOManager):
    """Refuses to carry values between assets: Dagster's default would pickle them, even a returned None."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Raise DagsterInvariantViolationError: assets return a MaterializeResult without a value."""
        name = context.asset_key.to_user_string() if context.has_asset_key else context.name
        raise dg.DagsterInvariantViolationError(
            f"{name}: returned a {type(obj).__name__}; write a contract document to the "
            "store and return a MaterializeResult without a value"
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Raise DagsterInvariantViolationError: assets read documents from the store."""
        raise dg.DagsterInvariantViolationError(f"{context.name}: read the document from the store instead")


def build_resources() -> dict[str, Any]:
    """Resources by key."""
    return {"store": Store(find_home()), "io_manager": RefusingIOManager()}
