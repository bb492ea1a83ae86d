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


def static(floats, shape, per_channel=False):
    """As ONNX Runtime's static quantiser writes a model; calibration records are of that shape."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = str(Path(folder) / "float.onnx"), str(Path(folder) / "quantised.onnx")
        onnx.save(floats, source)
        reader = Records(RNG.normal(0, 1, shape).astype(np.float32))
        quantize_static(source, target, reader, quant_format=QuantFormat.QDQ,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=per_channel)
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


def channels(t1, t2, t3, weight_type, sy):
    """QLinearConv in two groups, QLinearConv of one channel each, QLinearMatMul; weights have a scale for each channel."""
    f32 = lambda *v: np.array(v, np.float32)
    low, high = (-127, 128) if weight_type is np.int8 else (0, 256)
    zero = 0 if weight_type is np.int8 else 131
    weight = lambda *shape: RNG.integers(low, high, shape).astype(weight_type)
    u8 = lambda v: np.array(v, np.uint8)
    constants = {
        "sx": np.float32(0.0231), "zx": u8(114), "s1": np.float32(0.0479), "z1": u8(3), "s2": np.float32(0.0713),
        "z2": u8(121), "sy": np.float32(sy), "zy": u8(97),
        "w1": weight(6, 1, 3, 2), "t1": f32(*t1), "v1": np.full(6, zero, weight_type), "b1": RNG.integers(-9000, 9000, 6).astype(np.int32),
        "w2": weight(6, 1, 2, 2), "t2": f32(*t2), "v2": np.full(6, zero, weight_type), "b2": RNG.integers(-9000, 9000, 6).astype(np.int32),
        "w3": weight(24, 5), "t3": f32(*t3), "v3": np.full(5, zero, weight_type),
    }
    constants["w1"][4] = zero
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        node("QLinearConv", ["q", "sx", "zx", "w1", "t1", "v1", "s1", "z1", "b1"], ["c"], pads=[1, 0, 1, 1], group=2),
        node("QLinearConv", ["c", "s1", "z1", "w2", "t2", "v2", "s2", "z2", "b2"], ["d"], strides=[2, 3], group=6),
        node("Flatten", ["d"], ["f"]),
        node("QLinearMatMul", ["f", "s2", "z2", "w3", "t3", "v3", "sy", "zy"], ["o"]),
        node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 2, 5, 5], [1, 5]), float(sy)


def pairs_by_channel():
    """As pairs(), with a scale for each channel, a convolution of one channel each, and channels of very different weights."""
    normal = lambda *shape: RNG.normal(0, 0.4, shape).astype(np.float32)
    constants = {"w1": normal(5, 1, 3, 3), "b1": normal(5), "w2": normal(5, 1, 3, 3), "b2": normal(5), "w3": normal(7, 5, 1, 1), "b3": normal(7),
                 "w4": normal(7, 3), "b4": normal(3)}
    constants["w1"] *= np.array([1, 2, 0.2, 0.7, 0.4], np.float32).reshape(5, 1, 1, 1)
    constants["w4"] *= np.array([1, 0.1, 4], np.float32)
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "w2", "b2"], ["d"], group=5, strides=[2, 2]),
        node("Conv", ["d", "w3", "b3"], ["e"]),
        node("Relu", ["e"], ["g"]),
        node("MaxPool", ["g"], ["m"], kernel_shape=[3, 3]),
        node("Flatten", ["m"], ["f"]),
        node("Gemm", ["f", "w4", "b4"], ["y"]),
    ]
    floats = model(nodes, constants, [1, 1, 7, 8], [1, 3])
    return static(floats, (16, 1, 1, 7, 8), per_channel=True)


def products(scales, written):
    """Products of two tensors, as QLinearMul or between DequantizeLinear and QuantizeLinear."""
    sx, s1, sy = (np.float32(s) for s in scales)
    u8 = lambda v: np.array(v, np.uint8)
    constants = {"sx": sx, "zx": u8(114), "s1": s1, "z1": u8(31), "sy": sy, "zy": u8(77)}
    own = lambda *node, **kind: helper.make_node(*node, domain="com.microsoft", **kind)
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QLinearLeakyRelu", ["q", "sx", "zx", "s1", "z1"], ["l"], alpha=0.3),
    ]
    if written == "pairs":
        nodes += [
            node("DequantizeLinear", ["q", "sx", "zx"], ["a"]), node("DequantizeLinear", ["l", "s1", "z1"], ["b"]),
            node("Mul", ["a", "b"], ["p"]), node("QuantizeLinear", ["p", "sy", "zy"], ["o"]),
        ]
    else:
        nodes += [own("QLinearMul", ["q", "sx", "zx", "l", "s1", "z1", "sy", "zy"], ["o"])]
    nodes += [node("DequantizeLinear", ["o", "sy", "zy"], ["y"])]
    return model(nodes, constants, [1, 3, 7, 5], [1, 3, 7, 5]), float(sy)


def joined(written):
    """QLinearConcat of three tensors, one of them with the result's scale."""
    u8 = lambda v: np.array(v, np.uint8)
    sx, s1, sy = np.float32(0.0171), np.float32(0.0122), np.float32(0.0233)
    constants = {"sx": sx, "zx": u8(114), "s1": s1, "z1": u8(31), "sy": sy, "zy": u8(77)}
    own = lambda *node, **kind: helper.make_node(*node, domain="com.microsoft", **kind)
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QLinearLeakyRelu", ["q", "sx", "zx", "s1", "z1"], ["l"], alpha=0.3),
        own("QLinearSigmoid", ["q", "sx", "zx", "sy", "zy"], ["m"]),
    ]
    if written == "pairs":
        nodes += [node("DequantizeLinear", [v, s, z], [v + "r"]) for v, s, z in (("q", "sx", "zx"), ("l", "s1", "z1"), ("m", "sy", "zy"))]
        nodes += [node("Concat", ["qr", "lr", "mr"], ["j"], axis=1), node("QuantizeLinear", ["j", "sy", "zy"], ["o"])]
    else:
        nodes += [own("QLinearConcat", ["sy", "zy", "q", "sx", "zx", "l", "s1", "z1", "m", "sy", "zy"], ["o"], axis=1)]
    nodes += [node("DequantizeLinear", ["o", "sy", "zy"], ["y"])]
    return model(nodes, constants, [1, 3, 2, 5], [1, 9, 2, 5]), float(sy)


def products_of_matrices(per_channel):
    """QGemm twice, with and without a bias."""
    u8 = lambda v: np.array(v, np.uint8)
    sx, s1, sy = np.float32(0.0171), np.float32(0.0322), np.float32(0.0333)
    several = lambda n: RNG.uniform(0.002, 0.009, n).astype(np.float32) if per_channel else np.float32(0.0047)
    zeros = lambda n: np.zeros(n if per_channel else (), np.int8)
    weight = lambda *shape: RNG.integers(-127, 128, shape).astype(np.int8)
    constants = {"sx": sx, "zx": u8(114), "s1": s1, "z1": u8(31), "sy": sy, "zy": u8(77),
                 "w1": weight(6, 11), "t1": several(6), "v1": zeros(6), "b1": RNG.integers(-9000, 9000, 6).astype(np.int32),
                 "w2": weight(6, 3), "t2": several(3), "v2": zeros(3)}
    own = lambda *node, **kind: helper.make_node(*node, domain="com.microsoft", **kind)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QGemm", ["q", "sx", "zx", "w1", "t1", "v1", "b1", "s1", "z1"], ["h"], transB=1),
        own("QGemm", ["h", "s1", "z1", "w2", "t2", "v2", "", "sy", "zy"], ["o"]),
        helper.make_node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 11], [1, 3]), float(sy)


def case(name, made, scale, shape, edges=()):
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    records = [RNG.normal(0, 1 + seed / 4, shape).astype(np.float32).round(3) for seed in range(12)]
    # The ends of the input's range, in all places or at random.
    for edge in edges:
        records += [np.full(shape, edge, np.float32), (edge * RNG.choice([-1, 1], shape)).astype(np.float32)]
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
    case("channels, signed weights", *channels([0.0031, 0.0012, 0.0107, 0.0009, 0.0004, 0.0051], [0.0057, 0.0021, 0.0013, 0.0091, 0.0044, 0.0032],
         [0.0043, 0.0011, 0.0077, 0.0023, 0.0067], np.int8, 0.06), (1, 2, 5, 5), (100, -100)),
    case("channels, unsigned weights", *channels(RNG.uniform(0.001, 0.01, 6), RNG.uniform(0.001, 0.01, 6), RNG.uniform(0.001, 0.01, 5), np.uint8, 0.07),
         (1, 2, 5, 5), (100, -100)),
    case("channels, scales that make ties", *channels(0.0479 / 0.0231 * 2.0 ** -np.arange(7, 13), 0.0713 / 0.0479 * 2.0 ** -np.arange(7, 13),
         0.25 / 0.0713 * 2.0 ** -np.arange(8, 13), np.int8, 0.25), (1, 2, 5, 5), (100, -100)),
    case("pairs by channel", *pairs_by_channel(), (1, 1, 7, 8), (100, -100)),
    case("product", *products([0.0171, 0.0122, 0.0131], "operator"), (1, 3, 7, 5), (100, -100)),
    case("product as pairs", *products([0.0171, 0.0122, 0.0037], "pairs"), (1, 3, 7, 5), (100, -100)),
    case("product, scales that make ties", *products([2.0**-5, 2.0**-6, 2.0**-7], "operator"), (1, 3, 7, 5), (100, -100)),
    case("joined", *joined("operator"), (1, 3, 2, 5), (100, -100)),
    case("joined as pairs", *joined("pairs"), (1, 3, 2, 5), (100, -100)),
    case("QGemm", *products_of_matrices(False), (1, 11), (100, -100)),
    case("QGemm by channel", *products_of_matrices(True), (1, 11), (100, -100)),
]
target = Path(__file__).parent / "../src/quantise/golden/quantised.json"
target.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
for made in cases:
    values = np.array(made["outputs"])
    print(made["name"], values.min(), values.max(), len(made["onnx"]) // 2, "bytes")
