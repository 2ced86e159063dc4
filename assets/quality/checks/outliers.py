"""Pictures far outside what their batch looks like: dark, glaring or without sharp edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.quality.checks.derived import Derived
from assets.quality.spool import Spool
from assets.records.verdict import Finding

LEAST_RECORDS = 30
"""Fewer pictures have no usual look."""
FAR = 6.0
"""Robust standard deviations (1.4826 times the median distance from the median) from which a picture is odd."""
LEAST_SIDE = 64
"""Pixels of the shorter side below which nobody can say that a picture is blurred: strokes of digits are no edges."""
DARK, GLARING = 40.0, 215.0
"""Brightness of 255 that must be passed as well: in a batch of even light a small difference is no fault."""


def find_outliers(spool: Spool) -> Derived:
    """Pictures that are odd beside the others.

    Returns:
        `_odd`: what is odd about the picture, in words; None where nothing is. Findings "odd".
    """
    names = ("brightness", "sharpness", "width", "height")
    table = spool.columns(names)
    brightness, sharpness, width, height = (table.column(name).to_numpy() for name in names)
    column = np.full(spool.rows, None, dtype=object)
    findings = []
    if spool.rows >= LEAST_RECORDS:
        light = _distance(brightness)
        edges = _distance(np.log1p(sharpness))
        for row in np.flatnonzero((light < -FAR) & (brightness < DARK)):
            column[row] = f"it is dark beside the others (brightness {brightness[row]:.0f} of 255)"
        for row in np.flatnonzero((light > FAR) & (brightness > GLARING)):
            column[row] = f"it is glaring beside the others (brightness {brightness[row]:.0f} of 255)"
        for row in np.flatnonzero((edges < -FAR / 2) & (np.minimum(width, height) >= LEAST_SIDE)):
            if column[row] is None:
                dark = f"it is so dark (brightness {brightness[row]:.0f} of 255) that no edge can be seen"
                blurred = f"it is blurred beside the others (sharpness {sharpness[row]:.1f})"
                column[row] = dark if brightness[row] < DARK else blurred
        far = np.fmax(np.abs(light), np.abs(edges))
        for row in sorted(np.flatnonzero(column != None), key=lambda at: -far[at])[:1000]:  # noqa: E711 - elementwise
            findings.append(Finding("odd", int(row), "", -1, float(far[row]), str(column[row])))
    return Derived({"_odd": column}, tuple(findings))


def _distance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each value is from the median, in robust standard deviations; zeros where there is no spread."""
    middle = np.nanmedian(values)
    spread = 1.4826 * np.nanmedian(np.abs(values - middle))
    return np.zeros_like(values) if not spread > 1e-9 else (values - middle) / spread
