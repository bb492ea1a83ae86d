"""Makes ../src/quantise/golden/quantised.json: small quantised models, records, and what ONNX Runtime computes on them.

Packages: numpy, onnx, onnxruntime (1.31 made the file). Run: python quantised.py
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

RNG = np.random.default_rng(7)
OPSET = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]


def model(nodes, constants, shape, outputs):
    constants = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)
    graph = helper.make_graph(nodes, "quantised", [x], [y], constants)
    made = helper.make_model(graph, opset_imports=OPSET, ir_version=8)
    return made


def integers(scales, weight_type):
    """QLinearConv, MaxPool, QLinearConv, QLinearMatMul."""
    sx, s1, s2, sy, t1, t2, t3 = (np.float32(s) for s in scales)
    low, high = (-127, 128) if weight_type is np.int8 else (0, 256)
    zero = np.array(0 if weight_type is np.int8 else 131, weight_type)
    weight = lambda *shape: RNG.integers(low, high, shape).astype(weight_type)
    u8 = lambda v: np.array(v, np.uint8)
    constants = {
        "sx": sx, "zx": u8(114), "s1": s1, "z1": u8(3), "s2": s2, "z2": u8(250), "sy": sy, "zy": u8(97),
        "w1": weight(3, 2, 3, 2), "t1": t1, "zw": zero, "b1": RNG.integers(-9000, 9000, 3).astype(np.int32),
        "w2": weight(4, 3, 2, 2), "t2": t2, "b2": RNG.integers(-9000, 9000, 4).astype(np.int32),
        "w3": weight(8, 5), "t3": t3,
    }
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        node("QLinearConv", ["q", "sx", "zx", "w1", "t1", "zw", "s1", "z1", "b1"], ["c"], pads=[1, 0, 1, 1]),
        node("MaxPool", ["c"], ["m"], kernel_shape=[2, 2], strides=[1, 1]),
        node("QLinearConv", ["m", "s1", "z1", "w2", "t2", "zw", "s2", "z2", "b2"], ["d"], strides=[2, 3]),
        node("Flatten", ["d"], ["f"]),
        node("QLinearMatMul", ["f", "s2", "z2", "w3", "t3", "zw", "sy", "zy"], ["o"]),
        node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 2, 5, 5], [1, 5]), float(sy)


class Records(CalibrationDataReader):
    def __init__(self, records):
        self.records = iter(records)

    def get_next(self):
        record = next(self.records, None)
        return None if record is None else {"x": record}


def static(floats, shape):
    """As ONNX Runtime's static quantiser writes a model; calibration records are of that shape."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = str(Path(folder) / "float.onnx"), str(Path(folder) / "quantised.onnx")
        onnx.save(floats, source)
        reader = Records(RNG.normal(0, 1, shape).astype(np.float32))
        quantize_static(source, target, reader, quant_format=QuantFormat.QDQ,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=False)
        made = onnx.load(target)
    name = next(n.input[1] for n in made.graph.node if n.op_type == "DequantizeLinear" and "y" in n.output)
    scale = next(numpy_helper.to_array(t) for t in made.graph.initializer if t.name == name)
    return made, float(scale)


def pairs():
    """A float network as ONNX Runtime's static quantiser writes it: Q and DQ around every operator."""
    normal = lambda *shape: RNG.normal(0, 0.4, shape).astype(np.float32)
    constants = {"w1": normal(4, 1, 3, 3), "b1": normal(4), "w2": normal(6, 4, 3, 3), "b2": normal(6),
                 "w3": normal(24, 5), "b3": normal(5)}
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["m", "w2", "b2"], ["d"]),
        node("Relu", ["d"], ["e"]),
        node("Flatten", ["e"], ["f"]),
        node("Gemm", ["f", "w3", "b3"], ["y"]),
    ]
    floats = model(nodes, constants, [1, 1, 8, 8], [1, 5])
    return static(floats, (16, 1, 1, 8, 8))


def averages(scales, kernel, kind):
    """Sums of two tensors and averages as ONNX Runtime's own operators: QLinearLeakyRelu, QLinearAdd, QLinearAveragePool and its global form."""
    sx, s1, s2, s3, sy = (np.float32(s) for s in scales)
    u8 = lambda v: np.array(v - (0 if kind is np.uint8 else 128), kind)
    constants = {"sx": sx, "zx": u8(114), "s1": s1, "z1": u8(31), "s2": s2, "z2": u8(97), "s3": s3, "z3": u8(120), "sy": sy, "zy": u8(77)}
    own = lambda *node, **kind: helper.make_node(*node, domain="com.microsoft", **kind)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QLinearLeakyRelu", ["q", "sx", "zx", "s1", "z1"], ["l"], alpha=0.3),
        own("QLinearAdd", ["q", "sx", "zx", "l", "s1", "z1", "s2", "z2"], ["a"]),
        own("QLinearAveragePool", ["a", "s2", "z2", "s3", "z3"], ["p"], kernel_shape=kernel),
        own("QLinearGlobalAveragePool", ["p", "s3", "z3", "sy", "zy"], ["o"], channels_last=0),
        helper.make_node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 3, 6, 5], [1, 3, 1, 1]), float(sy)


def case(name, made, scale, shape):
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    records = [RNG.normal(0, 1 + seed / 4, shape).astype(np.float32).round(3) for seed in range(12)]
    outputs = [session.run(None, {"x": record})[0].ravel() for record in records]
    return {
        "name": name,
        "onnx": made.SerializeToString().hex(),
        "records": [[float(f"{v:.3f}") for v in record.ravel()] for record in records],
        "outputs": [[int(v) for v in np.round(output / np.float32(scale))] for output in outputs],
    }


powers = [2.0**-5, 2.0**-4, 2.0**-4, 2.0**-5, 2.0**-8, 2.0**-7, 2.0**-8]
uneven = [0.0231, 0.0479, 0.0713, 0.05, 0.0031, 0.0057, 0.0043]
cases = [
    case("integers, signed weights", *integers(uneven, np.int8), (1, 2, 5, 5)),
    case("integers, unsigned weights", *integers(uneven, np.uint8), (1, 2, 5, 5)),
    case("integers, scales that make ties", *integers(powers, np.int8), (1, 2, 5, 5)),
    case("pairs", *pairs(), (1, 1, 8, 8)),
    case("sums and averages", *averages([0.0171, 0.0122, 0.0261371, 0.0136913, 0.0094231], [2, 3], np.uint8), (1, 3, 6, 5)),
    case("sums and averages, signed", *averages([0.0171, 0.0122, 0.0261371, 0.0136913, 0.0094231], [1, 2], np.int8), (1, 3, 6, 5)),
    case("sums and averages, scales that make ties", *averages([2**-5, 2**-6, 2**-5, 2**-6, 2**-7], [3, 2], np.uint8), (1, 3, 6, 5)),
]
target = Path(__file__).parent / "../src/quantise/golden/quantised.json"
target.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
for made in cases:
    values = np.array(made["outputs"])
    print(made["name"], values.min(), values.max(), len(made["onnx"]) // 2, "bytes")
