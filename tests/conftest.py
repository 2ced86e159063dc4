"""Settings of every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: machines are shared, and a slow example is not a wrong one. CI repeats the same examples every time, so a
# failure there is the change's; people's runs look for new ones.
settings.register_profile(
    "edgeloop",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("edgeloop")
