"""The few calls of the CUDA driver that a plan needs, by ctypes: no CUDA toolkit or Python package on the device.

See the CUDA Driver API reference (https://docs.nvidia.com/cuda/cuda-driver-api/).
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import IncompatibleError, TransientError

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


class Cuda:
    """The first GPU: its primary context, one stream, and memory on it. One call at a time."""

    def __init__(self) -> None:
        """Raises IncompatibleError without a driver or a GPU."""
        try:
            self._driver: Any = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise IncompatibleError(
                "this machine has no NVIDIA driver (libcuda.so.1 was not found), so it cannot run a TensorRT plan; "
                "use the release's ONNX artifact"
            ) from error
        count, device, context = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
        code = self._driver.cuInit(0)
        if code == 0:
            code = self._driver.cuDeviceGetCount(ctypes.byref(count))
        if code or not count.value:
            raise IncompatibleError(f"no NVIDIA GPU answers on this machine (CUDA error {code}); check nvidia-smi")
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context
        self._call("cuCtxSetCurrent", context)
        self.sm = 10 * self._attribute(_MAJOR, device) + self._attribute(_MINOR, device)
        stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(stream), 0)
        self.stream = int(stream.value or 0)

    def allocate(self, size: int) -> int:
        """`size` bytes on the GPU; their address."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return int(address.value)

    def upload(self, array: NDArray[Any], address: int) -> None:
        """Copy a contiguous array to the GPU, ahead of what the stream does next."""
        self._call("cuCtxSetCurrent", self._context)  # the calling thread may be another one than before
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), array.ctypes.data_as(ctypes.c_void_p), _size(array))

    def download(self, address: int, array: NDArray[np.float32]) -> None:
        """Wait for the stream, then fill a contiguous array from the GPU."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))
        self._call("cuMemcpyDtoH_v2", array.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(address), _size(array))

    def _attribute(self, number: int, device: ctypes.c_int) -> int:
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, device)
        return int(value.value)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise TransientError(f"{name} failed on the GPU (CUDA error {code}); is its memory full?")


def _size(array: NDArray[Any]) -> ctypes.c_size_t:
    return ctypes.c_size_t(array.nbytes)
