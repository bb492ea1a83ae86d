"""Makes several.onnx, a model of two inputs with weights of noise: an `amount` and an `applicant` of six numbers; with calibration records and one record.

Packages: numpy, onnx. Run: python several.py
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(11)
normal = lambda *shape: RNG.normal(0, 0.5, shape).astype(np.float32)
weights = {"w1": normal(7, 8), "b1": normal(8), "w2": normal(8, 2), "b2": normal(2)}
# An amount is up to ten, in thousands; what is known of an applicant is near 1.
weights["w1"][0] /= 3
nodes = [
    helper.make_node("Concat", ["amount", "applicant"], ["x"], axis=1),
    helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "hidden"),
    helper.make_node("Relu", ["h"], ["r"]),
    helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], "last"),
]
value = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
constants = [numpy_helper.from_array(v, name) for name, v in weights.items()]
graph = helper.make_graph(nodes, "several", [value("amount", 1), value("applicant", 6)], [value("y", 2)], constants)
here = Path(__file__).parent
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), here / "several.onnx")
record = lambda: [round(float(RNG.uniform(0.1, 10)), 1)] + [round(float(v), 3) for v in RNG.normal(0, 1, 6)]
write = lambda name, made: (here / f"several.{name}.json").write_text(json.dumps(made) + "\n")
write("calibration", [record() for _ in range(32)])
write("record", record())
