"""A small module with TensorRT's Python interface, as much of it as `edge.engine` uses, in the manner of one version.

It reads real ONNX files and keeps TensorRT's habits: `parse` of no model returns True, reasons are only in the logger,
a precision flag on a strongly typed network fails the build, and u8 is taken as s8 with no more than a warning.
"""

from __future__ import annotations

import enum
import struct
import types
from typing import Any


class Severity(enum.IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    Severity = Severity

    def __init__(self) -> None: ...

    def log(self, severity: Severity, message: str) -> None:
        raise NotImplementedError


class Tensor:
    def __init__(self, name: str, shape: tuple[int, ...], is_shape_tensor: bool = False) -> None:
        self.name, self.shape, self.is_shape_tensor = name, shape, is_shape_tensor


class INetworkDefinition:
    num_inputs = num_outputs = 0

    def __init__(self, strongly_typed: bool) -> None:
        self.strongly_typed, self.inputs, self.constants = strongly_typed, list[Tensor](), 0

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Any, ...]] = {}

    def set_shape(self, name: str, low: Any, usual: Any, high: Any) -> None:
        self.shapes[name] = (tuple(low), tuple(usual), tuple(high))


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return b"timings" + self.data[7:] + b"+"


class IBuilderConfig:
    def __init__(self) -> None:
        self.profiles, self.flags = list[IOptimizationProfile](), set[str]()
        self.workspace, self.cache, self.hardware_compatibility_level = 0, ITimingCache(b""), "NONE"

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        assert pool == "WORKSPACE"
        self.workspace = size

    def create_timing_cache(self, data: bytes) -> ITimingCache | None:
        return None if data and not data.startswith(b"timings") else ITimingCache(data)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self.cache


class ParserError:
    def __init__(self, name: str, operator: str, text: str) -> None:
        self.parts = name, operator, text

    def node_name(self) -> str:
        return self.parts[0]

    def node_operator(self) -> str:
        return self.parts[1]

    def desc(self) -> str:
        return self.parts[2]


class OnnxParser:
    KNOWN = frozenset({"Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm", "QuantizeLinear", "DequantizeLinear"})

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self.network, self.logger, self.errors = network, logger, list[ParserError]()

    def get_error(self, index: int) -> ParserError:
        return self.errors[index]

    def parse(self, data: bytes) -> bool:
        import onnx

        try:
            graph = onnx.load_from_string(data).graph
        except Exception:
            return True  # as the real one: a file that is no model has no nodes, and no error
        constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            self.logger.log(Severity.VERBOSE, f"Parsing node: {node.name} [{node.op_type}]")
            if node.op_type not in self.KNOWN:
                self.errors.append(ParserError(node.name, node.op_type, "no importer is registered"))
                return False
            point = constants.get(node.input[2]) if len(node.input) > 2 and "Linear" in node.op_type else None
            if point is not None and point.data_type == onnx.TensorProto.UINT8:
                text = "TensorRT supports UINT8 zero_point only on DLA. Defaulting to INT8 instead."
                self.logger.log(Severity.WARNING, f"onnxOpImporters.cpp:1980: {text}")
        for value in graph.input:
            sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in value.type.tensor_type.shape.dim]
            self.network.inputs.append(Tensor(value.name, tuple(sizes)))
        self.network.num_inputs, self.network.num_outputs = len(self.network.inputs), len(graph.output)
        return True


def make(version: str, says: str = "") -> Any:
    """The module of one version, e.g. "10.3.0.30" or "11.4.1.2"; `says` is what the module tells, if less."""
    numbers = tuple(map(int, version.split(".")))
    weak = ("FP16", "INT8", "BF16") if numbers < (11,) else ()
    module: Any = types.ModuleType("tensorrt")
    module.__version__ = says or version
    module.ILogger, module.OnnxParser = ILogger, OnnxParser
    module.IBuilderConfig, module.INetworkDefinition = IBuilderConfig, INetworkDefinition
    module.IOptimizationProfile = IOptimizationProfile
    module.MemoryPoolType = types.SimpleNamespace(WORKSPACE="WORKSPACE")
    module.BuilderFlag = types.SimpleNamespace(**{name: name for name in (*weak, "VERSION_COMPATIBLE")})
    module.HardwareCompatibilityLevel = types.SimpleNamespace(AMPERE_PLUS="AMPERE_PLUS")
    module.NetworkDefinitionCreationFlag = types.SimpleNamespace()
    if numbers < (11,):
        module.NetworkDefinitionCreationFlag.STRONGLY_TYPED, module.IInt8Calibrator = 1, object

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            self.logger = logger

        def create_network(self, flags: int = 0) -> INetworkDefinition:
            assert flags == (2 if numbers < (11,) else 0), "11 knows no such flag"
            return INetworkDefinition(strongly_typed=True)

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def create_optimization_profile(self) -> IOptimizationProfile:
            return IOptimizationProfile()

        def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
            if wrong := config.flags.intersection(weak):
                self.logger.log(Severity.ERROR, f"flags {sorted(wrong)} on a strongly typed network")
                return None
            opened = {tensor.name for tensor in network.inputs if -1 in tensor.shape}
            if opened and (not config.profiles or set(config.profiles[0].shapes) != opened):
                self.logger.log(Severity.ERROR, "an input with open axes has no optimization profile")
                return None
            size = 64 + len(config.flags)
            header = b"ftrt" + b"\0" * 12 + struct.pack("<Q", size) + bytes([*numbers, 0, 0, 0][:4])
            return header.ljust(size, b"\1")

    module.Builder = Builder
    return module
