"""Builds transformers of the kind that normalises before each half of a block (ViT, GPT-2) as ONNX files, with random weights from
a fixed seed: shapes and cost are those of the real networks, answers mean nothing.

Needs numpy and onnx.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EPSILON = 1e-5


class Transformer:
    """A network in the making; every tensor has shape (1, tokens, width)."""

    def __init__(self, name, tokens, width, heads, seed):
        self.name, self.tokens, self.width, self.heads = name, tokens, width, heads
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants = [], []
        self.macs = 0
        self.constant("split", np.array([1, tokens, heads, width // heads], np.int64))
        self.constant("join", np.array([1, tokens, width], np.int64))
        self.constant("root", np.array((width // heads) ** 0.5, np.float32))

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def noise(self, name, shape, deviation):
        return self.constant(name, self.rng.normal(0, deviation, shape).astype(np.float32))

    def linear(self, value, inputs, outputs, output, rows=None):
        self.macs += (self.tokens if rows is None else rows) * inputs * outputs
        weight = self.noise(output + ".w", (inputs, outputs), inputs**-0.5)
        bias = self.noise(output + ".b", outputs, 0.02)
        return self.node("Add", [self.node("MatMul", [value, weight], output + ".p"), bias], output)

    def normal(self, value, output):
        factor = self.constant(output + ".g", self.rng.uniform(0.8, 1.2, self.width).astype(np.float32))
        offset = self.noise(output + ".o", self.width, 0.05)
        return self.node("LayerNormalization", [value, factor, offset], output, axis=-1, epsilon=EPSILON)

    def block(self, value, index, mask=None):
        name, width = f"layer{index}.", self.width
        normal = self.normal(value, name + "before")
        parts = {}
        for part, axes in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            made = self.linear(normal, width, width, name + part)
            split = self.node("Reshape", [made, "split"], f"{name}{part}.split")
            parts[part] = self.node("Transpose", [split], f"{name}{part}.heads", perm=axes)
        self.macs += 2 * self.tokens**2 * width
        scores = self.node("MatMul", [parts["query"], parts["key"]], name + "scores")
        scores = self.node("Div", [scores, "root"], name + "scaled")
        if mask:
            scores = self.node("Where", [mask, scores, "least"], name + "masked")
        shares = self.node("Softmax", [scores], name + "shares", axis=-1)
        mixed = self.node("MatMul", [shares, parts["value"]], name + "mixed")
        turned = self.node("Transpose", [mixed], name + "turned", perm=[0, 2, 1, 3])
        joined = self.node("Reshape", [turned, "join"], name + "joined")
        attention = self.linear(joined, width, width, name + "attention")
        middle = self.node("Add", [value, attention], name + "middle")
        wide = self.linear(self.normal(middle, name + "between"), width, 4 * width, name + "wide")
        narrow = self.linear(self.node("Gelu", [wide], name + "gelu"), 4 * width, width, name + "narrow")
        return self.node("Add", [middle, narrow], name + "out")

    def write(self, directory, shape, outputs, records):
        """Writes model.onnx, calibration.json and record.json; the input is called `record`, the output `logits`."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        inputs = [helper.make_tensor_value_info("record", TensorProto.FLOAT, shape)]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, outputs)]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        onnx.save(model, directory / "model.onnx")
        flat = [[round(float(v), 5) for v in record.ravel()] for record in records]
        (directory / "calibration.json").write_text(json.dumps(flat))
        (directory / "record.json").write_text(json.dumps(flat[0]))
        parameters = sum(int(np.prod(constant.dims)) for constant in self.constants)
        print(f"{self.name}: {parameters:,} parameters, {self.macs:,} multiply–accumulates, in {directory}")
