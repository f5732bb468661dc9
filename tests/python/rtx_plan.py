"""Builds a plan with TensorRT-RTX from an ONNX model, without a GPU, and writes it: `rtx_plan.py FILE`.

Runs in an environment with the wheels of tools/tensorrt-requirements.txt.
"""

import ctypes
import pathlib
import sys
import sysconfig

LIBRARIES = pathlib.Path(sysconfig.get_path("purelib")) / "tensorrt_rtx_libs"


def varint(number):
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number, value):
    """A field of a message of protocol buffers: an integer, a text or a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name, rows, columns):
    """ValueInfoProto of float32."""
    sizes = field(1, field(2, rows)) + field(1, field(1, columns))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, sizes)))


def onnx_model():
    """y = relu(x), float32[rows, 4]: a ModelProto of opset 17."""
    node = field(1, "x") + field(2, "y") + field(4, "Relu")
    graph = field(1, node) + field(2, "graph") + field(11, tensor("x", "rows", 4)) + field(12, tensor("y", "rows", 4))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


def main():
    # The module finds them as they are in the process.
    for name in ("libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"):
        ctypes.CDLL(str(LIBRARIES / name), mode=ctypes.RTLD_GLOBAL)
    from tensorrt_rtx_bindings import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx_model()):
        raise SystemExit("\n".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (1, 4), (2, 4), (8, 4))
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    # Without a GPU it has to be told one.
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    pathlib.Path(sys.argv[1]).write_bytes(bytes(builder.build_serialized_network(network, config)))


if __name__ == "__main__":
    main()
