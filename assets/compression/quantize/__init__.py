"""Fewer bits for a float ONNX model: INT8 in two dialects, FP16, and weights alone in INT8.

`calibrations` finds the ranges of activations, `quantize` writes a dialect with them, `sensitivity` says what each
layer alone would cost.
"""

from assets.compression.quantize.calibrate import Calibration, Feeds, calibrations
from assets.compression.quantize.conversion import StudentInt8, conversion_of
from assets.compression.quantize.dialects import needs_7_bits, quantizable, quantize
from assets.compression.quantize.float16 import to_float16
from assets.compression.quantize.layers import Dialect
from assets.compression.quantize.sensitivity import sensitivity
from assets.compression.quantize.weights8 import weights_to_int8

__all__ = [
    "Calibration",
    "Dialect",
    "Feeds",
    "StudentInt8",
    "calibrations",
    "conversion_of",
    "needs_7_bits",
    "quantizable",
    "quantize",
    "sensitivity",
    "to_float16",
    "weights_to_int8",
]
