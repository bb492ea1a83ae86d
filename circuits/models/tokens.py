"""Makes tokens.onnx and its records: two layers over six tokens, two each of magnitudes 1, 10 and 100.

Packages: numpy, onnx (2.4.6 and 1.23.2 made the files). Run: python tokens.py
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOKENS, WIDTH, HIDDEN, OUTPUTS = 6, 12, 16, 4
RNG = np.random.default_rng(11)
HERE = Path(__file__).parent


def constant(name, *shape):
    values = RNG.normal(0, 1 / np.sqrt(shape[0]), shape) if len(shape) > 1 else RNG.normal(0, 0.1, shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def record():
    """Tokens of magnitudes 1, 10 and 100, two of each, in any order."""
    magnitudes = RNG.permutation([1.0, 1.0, 10.0, 10.0, 100.0, 100.0])[:, None]
    values = (magnitudes * RNG.normal(0, 1, (TOKENS, WIDTH))).round(3)
    return values.ravel().tolist()


def write(name, value):
    (HERE / name).write_text(json.dumps(value) + "\n")


nodes = [
    helper.make_node("MatMul", ["x", "first"], ["a"], "first"),
    helper.make_node("Add", ["a", "offset"], ["b"], "add"),
    helper.make_node("Relu", ["b"], ["c"], "relu"),
    helper.make_node("MatMul", ["c", "second"], ["y"], "second"),
]
constants = [
    constant("first", WIDTH, HIDDEN),
    constant("offset", HIDDEN),
    constant("second", HIDDEN, OUTPUTS),
]
shape = helper.make_tensor_value_info
graph = helper.make_graph(
    nodes,
    "tokens",
    [shape("x", TensorProto.FLOAT, [1, TOKENS, WIDTH])],
    [shape("y", TensorProto.FLOAT, [1, TOKENS, OUTPUTS])],
    constants,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, HERE / "tokens.onnx")
write("tokens.calibration.json", [record() for _ in range(32)])
write("tokens.record.json", record())
