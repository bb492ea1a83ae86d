"""Makes ../src/quantise/golden/quantised.json: small quantised models, records, and the integers that ONNX Runtime computes on them; and
dynamic.json beside it: models that ONNX Runtime's quantize_dynamic wrote, and the real numbers that it computes on them.

Packages: numpy, onnx, onnxruntime (1.31 made the file). Run: python quantised.py
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

RNG = np.random.default_rng(7)
OPSET = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]


def model(nodes, constants, shape, outputs):
    constants = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)
    graph = helper.make_graph(nodes, "quantised", [x], [y], constants)
    made = helper.make_model(graph, opset_imports=OPSET, ir_version=8)
    return made


def own(*node, **kind):
    """An operator of ONNX Runtime's own."""
    return helper.make_node(*node, domain="com.microsoft", **kind)


def u8(v):
    return np.array(v, np.uint8)


def integers(scales, weight_type):
    """QLinearConv, MaxPool, QLinearConv, QLinearMatMul."""
    sx, s1, s2, sy, t1, t2, t3 = (np.float32(s) for s in scales)
    low, high = (-127, 128) if weight_type is np.int8 else (0, 256)
    zero = np.array(0 if weight_type is np.int8 else 131, weight_type)
    weight = lambda *shape: RNG.integers(low, high, shape).astype(weight_type)
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


def two_tensors(scales):
    """Constants and nodes: x quantised as q and a QLinearLeakyRelu of it as l, each with its scale; the last scale is the result's."""
    sx, s1, sy = (np.float32(s) for s in scales)
    constants = {"sx": sx, "zx": u8(114), "s1": s1, "z1": u8(31), "sy": sy, "zy": u8(77)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QLinearLeakyRelu", ["q", "sx", "zx", "s1", "z1"], ["l"], alpha=0.3),
    ]
    return constants, nodes


def products(scales, written):
    """Products of two tensors, as QLinearMul or between DequantizeLinear and QuantizeLinear."""
    (constants, nodes), node = two_tensors(scales), helper.make_node
    if written == "pairs":
        nodes += [
            node("DequantizeLinear", ["q", "sx", "zx"], ["a"]), node("DequantizeLinear", ["l", "s1", "z1"], ["b"]),
            node("Mul", ["a", "b"], ["p"]), node("QuantizeLinear", ["p", "sy", "zy"], ["o"]),
        ]
    else:
        nodes += [own("QLinearMul", ["q", "sx", "zx", "l", "s1", "z1", "sy", "zy"], ["o"])]
    nodes += [node("DequantizeLinear", ["o", "sy", "zy"], ["y"])]
    return model(nodes, constants, [1, 3, 7, 5], [1, 3, 7, 5]), float(constants["sy"])


def joined(written):
    """QLinearConcat of three tensors, one of them with the result's scale."""
    (constants, nodes), node = two_tensors([0.0171, 0.0122, 0.0233]), helper.make_node
    nodes += [own("QLinearSigmoid", ["q", "sx", "zx", "sy", "zy"], ["m"])]
    if written == "pairs":
        nodes += [node("DequantizeLinear", [v, s, z], [v + "r"]) for v, s, z in (("q", "sx", "zx"), ("l", "s1", "z1"), ("m", "sy", "zy"))]
        nodes += [node("Concat", ["qr", "lr", "mr"], ["j"], axis=1), node("QuantizeLinear", ["j", "sy", "zy"], ["o"])]
    else:
        nodes += [own("QLinearConcat", ["sy", "zy", "q", "sx", "zx", "l", "s1", "z1", "m", "sy", "zy"], ["o"], axis=1)]
    nodes += [node("DequantizeLinear", ["o", "sy", "zy"], ["y"])]
    return model(nodes, constants, [1, 3, 2, 5], [1, 9, 2, 5]), float(constants["sy"])


def products_of_matrices(per_channel):
    """QGemm twice, with and without a bias."""
    sx, s1, sy = np.float32(0.0171), np.float32(0.0322), np.float32(0.0333)
    several = lambda n: RNG.uniform(0.002, 0.009, n).astype(np.float32) if per_channel else np.float32(0.0047)
    zeros = lambda n: np.zeros(n if per_channel else (), np.int8)
    weight = lambda *shape: RNG.integers(-127, 128, shape).astype(np.int8)
    constants = {"sx": sx, "zx": u8(114), "s1": s1, "z1": u8(31), "sy": sy, "zy": u8(77),
                 "w1": weight(6, 11), "t1": several(6), "v1": zeros(6), "b1": RNG.integers(-9000, 9000, 6).astype(np.int32),
                 "w2": weight(6, 3), "t2": several(3), "v2": zeros(3)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QGemm", ["q", "sx", "zx", "w1", "t1", "v1", "b1", "s1", "z1"], ["h"], transB=1),
        own("QGemm", ["h", "s1", "z1", "w2", "t2", "v2", "", "sy", "zy"], ["o"]),
        helper.make_node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 11], [1, 3]), float(sy)


def product_of_two(scales):
    """QLinearMatMul of a tensor and its own QLinearLeakyRelu, turned."""
    (constants, nodes), node = two_tensors(scales), helper.make_node
    nodes += [
        node("Transpose", ["l"], ["t"], perm=[0, 1, 3, 2]),
        node("QLinearMatMul", ["q", "sx", "zx", "t", "s1", "z1", "sy", "zy"], ["o"]),
        node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 2, 3, 7], [1, 2, 3, 3]), float(constants["sy"])


def sum_of_two(scales):
    """QLinearAdd of a tensor and its own QLinearLeakyRelu."""
    (constants, nodes), node = two_tensors(scales), helper.make_node
    nodes += [own("QLinearAdd", ["q", "sx", "zx", "l", "s1", "z1", "sy", "zy"], ["o"]), node("DequantizeLinear", ["o", "sy", "zy"], ["y"])]
    return model(nodes, constants, [1, 3, 7, 5], [1, 3, 7, 5]), float(constants["sy"])


def under(operator, written, operands):
    """Two quantised operands under one operator, as one of ONNX Runtime's own or between pairs, to `y` by the result's scale and zero point."""
    node = helper.make_node
    if written == "pairs":
        nodes = [node("DequantizeLinear", operand, [f"r{at}"]) for at, operand in enumerate(operands)]
        nodes += [node(operator, ["r0", "r1"], ["j"]), node("QuantizeLinear", ["j", "sy", "zy"], ["o"])]
    else:
        nodes = [own("QLinear" + operator, operands[0] + operands[1] + ["sy", "zy"], ["o"])]
    return nodes + [node("DequantizeLinear", ["o", "sy", "zy"], ["y"])]


def with_constant(operator, written, first):
    """A sum or a product with a constant of several dimensions."""
    constants = {"sx": np.float32(0.0171), "zx": u8(114), "s1": np.float32(0.0122), "z1": u8(31), "sy": np.float32(0.0233 if operator == "Add" else 0.0131),
                 "zy": u8(77), "c": RNG.integers(0, 256, (3, 1, 5)).astype(np.uint8)}
    operands = [["q", "sx", "zx"], ["c", "s1", "z1"]]
    nodes = [helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"])] + under(operator, written, operands[::-1] if first else operands)
    return model(nodes, constants, [1, 3, 7, 5], [1, 3, 7, 5]), float(constants["sy"])


def averages_of_one_scale(zero):
    """QLinearAveragePool that keeps scale and zero point, and then a pair of another scale."""
    constants = {"sx": np.float32(2**-5), "zx": u8(zero), "sy": np.float32(2**-4), "zy": u8(41)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QLinearAveragePool", ["q", "sx", "zx", "sx", "zx"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("DequantizeLinear", ["p", "sx", "zx"], ["d"]),
        helper.make_node("QuantizeLinear", ["d", "sy", "zy"], ["o"]),
        helper.make_node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 2, 5, 7], [1, 2, 4, 6]), float(constants["sy"])


def windows(form, scales, zero, result, shape, **kind):
    """Averages over windows, of which halves hinge on single precision, as one operator or between pairs; `shape` is the result's."""
    constants = {"sx": np.float32(scales[0]), "zx": zero, "sy": np.float32(scales[1]), "zy": result}
    node = helper.make_node
    nodes = [node("QuantizeLinear", ["x", "sx", "zx"], ["q"])]
    if form == "pairs":
        nodes += [node("DequantizeLinear", ["q", "sx", "zx"], ["d"]), node("AveragePool", ["d"], ["p"], **kind), node("QuantizeLinear", ["p", "sy", "zy"], ["o"])]
    else:
        nodes += [own("QLinearAveragePool", ["q", "sx", "zx", "sy", "zy"], ["o"], **kind)]
    nodes += [node("DequantizeLinear", ["o", "sy", "zy"], ["y"])]
    return model(nodes, constants, [1, 2, 7, 9], [1, 2, *shape]), float(constants["sy"])


def spread(operator, form, scales, kind, kernel, turned):
    """A tensor and its maxima over `kernel` under one operator, as one of ONNX Runtime's own or between pairs; the maxima first if `turned`."""
    zeros = (100, 20, 60) if kind is np.uint8 else (-20, -90, 11)
    constants = {name: np.float32(scale) for name, scale in zip(("sx", "sm", "sy"), scales)}
    constants |= {name: kind(zero) for name, zero in zip(("zx", "zm", "zy"), zeros)}
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "sx", "zx"], ["q"]), node("DequantizeLinear", ["q", "sx", "zx"], ["d"]),
        node("MaxPool", ["d"], ["m"], kernel_shape=kernel, strides=[1, 1]), node("QuantizeLinear", ["m", "sm", "zm"], ["r"]),
    ]
    operands = [["q", "sx", "zx"], ["r", "sm", "zm"]]
    nodes += under(operator, form, operands[::-1] if turned else operands)
    return model(nodes, constants, [1, 3, 7, 5], [1, 3, 7, 5]), float(constants["sy"])


def of_integers(kind, zero):
    """A network whose record is integers: QLinearConv, and the record itself as numbers that are added."""
    element = TensorProto.UINT8 if kind is np.uint8 else TensorProto.INT8
    constants = {
        "sx": np.float32(0.0231), "zx": kind(zero), "s1": np.float32(0.0479), "z1": kind(11), "sy": np.float32(0.0713), "zy": kind(60),
        "w1": np.arange(-13, 23).reshape(2, 2, 3, 3).astype(np.int8), "t1": np.float32(0.0031), "zw": np.int8(0),
    }
    nodes = [
        helper.make_node("QLinearConv", ["x", "sx", "zx", "w1", "t1", "zw", "s1", "z1"], ["c"], pads=[1, 1, 1, 1]),
        own("QLinearAdd", ["x", "sx", "zx", "c", "s1", "z1", "sy", "zy"], ["o"]),
        helper.make_node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    made = model(nodes, constants, [1, 2, 5, 5], [1, 2, 5, 5])
    made.graph.input[0].type.tensor_type.elem_type = element
    return made, float(constants["sy"])


def average_of_many(sx, sy):
    """QLinearGlobalAveragePool of more integers than a table holds the sums of."""
    constants = {"sx": np.float32(sx), "zx": u8(114), "sy": np.float32(sy), "zy": u8(97)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        own("QLinearGlobalAveragePool", ["q", "sx", "zx", "sy", "zy"], ["o"]),
        helper.make_node("DequantizeLinear", ["o", "sy", "zy"], ["y"]),
    ]
    return model(nodes, constants, [1, 2, 23, 17], [1, 2, 1, 1]), float(constants["sy"])


def dynamic(nodes, constants, shape, outputs, optimised=False, ids=False, **options):
    """A float network as ONNX Runtime's dynamic quantiser writes it, or as its optimiser then writes that."""
    floats = model(nodes, constants, shape, outputs)
    if ids:
        floats.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with tempfile.TemporaryDirectory() as folder:
        source, target = str(Path(folder) / "float.onnx"), str(Path(folder) / "quantised.onnx")
        onnx.save(floats, source)
        quantize_dynamic(source, target, **options)
        if optimised:
            settings, source, target = ort.SessionOptions(), target, str(Path(folder) / "optimised.onnx")
            settings.optimized_model_filepath = target
            settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            ort.InferenceSession(source, settings, providers=["CPUExecutionProvider"])
        return onnx.load(target)


def perceptron(**options):
    """Two layers."""
    normal = lambda *shape: RNG.normal(0, 0.4, shape).astype(np.float32)
    constants = {"w1": normal(12, 16), "b1": normal(16), "w2": normal(16, 5), "b2": normal(5)}
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w1"], ["p"], "hidden"),
        node("Add", ["p", "b1"], ["h"]),
        node("Relu", ["h"], ["r"]),
        node("Gemm", ["r", "w2", "b2"], ["y"], "last"),
    ]
    return dynamic(nodes, constants, [1, 12], [1, 5], **options)


def gate():
    """Two layers of the same numbers multiplied, as ONNX Runtime's optimiser writes them."""
    normal = lambda *shape: RNG.normal(0, 0.4, shape).astype(np.float32)
    constants = {"w1": normal(12, 6), "b1": normal(6), "w2": normal(12, 6), "w3": normal(6, 3)}
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w1"], ["p"], "value"), node("Add", ["p", "b1"], ["v"]),
        node("MatMul", ["x", "w2"], ["g"], "gate"), node("Sigmoid", ["g"], ["s"]),
        node("Mul", ["v", "s"], ["m"]), node("MatMul", ["m", "w3"], ["y"], "last"),
    ]
    return dynamic(nodes, constants, [1, 12], [1, 3], optimised=True)


def convolution():
    normal = lambda *shape: RNG.normal(0, 0.4, shape).astype(np.float32)
    constants = {"w1": normal(4, 2, 3, 3), "b1": normal(4), "w2": normal(36, 3)}
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c"], "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("Flatten", ["r"], ["f"]),
        node("MatMul", ["f", "w2"], ["y"], "last"),
    ]
    return dynamic(nodes, constants, [1, 2, 5, 6], [1, 3], weight_type=QuantType.QUInt8)


def attention(ids, **options):
    """A block of a transformer: five tokens of eight numbers, two heads, and a layer normalisation; from rows of a table if ids are given."""
    normal = lambda *shape: RNG.normal(0, 0.4, shape).astype(np.float32)
    constants = {"split": np.array([1, 5, 2, 4]), "join": np.array([1, 5, 8]), "root": np.float32(2)}
    node, nodes, value = helper.make_node, [], "x"
    if ids:
        constants |= {"table": RNG.normal(0, 1, (11, 8)).astype(np.float32), "g0": normal(8) + 1, "o0": normal(8)}
        value = "e"
        nodes += [node("Gather", ["table", "x"], ["rows"], "lookup", axis=0), node("LayerNormalization", ["rows", "g0", "o0"], ["e"], axis=-1)]
    for name, axes in (("k", [0, 2, 3, 1]), ("q", [0, 2, 1, 3]), ("v", [0, 2, 1, 3])):
        constants |= {f"w{name}": normal(8, 8), f"b{name}": normal(8)}
        nodes += [
            node("MatMul", [value, f"w{name}"], [f"{name}1"], name), node("Add", [f"{name}1", f"b{name}"], [f"{name}2"]),
            node("Reshape", [f"{name}2", "split"], [f"{name}3"]), node("Transpose", [f"{name}3"], [f"{name}4"], perm=axes),
        ]
    constants |= {"wo": normal(8, 8), "bo": normal(8), "g": normal(8) + 1, "o": normal(8)}
    nodes += [
        node("MatMul", ["q4", "k4"], ["s1"], "scores"), node("Div", ["s1", "root"], ["s2"]), node("Softmax", ["s2"], ["s3"], axis=-1),
        node("MatMul", ["s3", "v4"], ["m1"], "mixed"), node("Transpose", ["m1"], ["m2"], perm=[0, 2, 1, 3]),
        node("Reshape", ["m2", "join"], ["m3"]), node("MatMul", ["m3", "wo"], ["a1"], "joined"), node("Add", ["a1", "bo"], ["a2"]),
        node("Add", [value, "a2"], ["r"]), node("LayerNormalization", ["r", "g", "o"], ["y"], axis=-1),
    ]
    return dynamic(nodes, constants, [1, 5] if ids else [1, 5, 8], [1, 5, 8], ids=ids, **options)


def close(name, made, shape, rows=None):
    """A model that quantises tensors while it runs, and the real numbers that it gives; the input is numbers of so many rows, or real."""
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    real = lambda seed: RNG.normal(0, 1 + seed / 4, shape).astype(np.float32).round(3)
    records = [RNG.integers(0, rows, shape) if rows else real(seed) for seed in range(12)]
    outputs = [session.run(None, {"x": record})[0].ravel() for record in records]
    return {
        "name": name,
        "onnx": made.SerializeToString().hex(),
        "records": [[float(f"{v:.3f}") for v in record.ravel()] for record in records],
        "outputs": [[float(f"{v:.6g}") for v in output] for output in outputs],
    }


def case(name, made, scale, shape, edges=(), kind=None):
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    records = [RNG.normal(0, 1 + seed / 4, shape).astype(np.float32).round(3) for seed in range(12)]
    if kind:
        ends = np.iinfo(kind)
        records = [RNG.integers(ends.min, ends.max + 1, shape).astype(kind) for _ in range(12)]
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
by_column = {"per_channel": True, "weight_type": QuantType.QInt8}
real = [
    close("perceptron", perceptron(), (1, 12)),
    close("perceptron by column", perceptron(**by_column), (1, 12)),
    close("perceptron, optimised", perceptron(optimised=True), (1, 12)),
    close("convolution", convolution(), (1, 2, 5, 6)),
    close("attention", attention(False, **by_column), (1, 5, 8)),
    close("attention, both factors", attention(False, weight_type=QuantType.QUInt8, extra_options={"MatMulConstBOnly": False}), (1, 5, 8)),
    close("gate, optimised", gate(), (1, 12)),
    close("attention from ids", attention(True), (1, 5), rows=11),
]
cases += [
    case("channels, multipliers of any size", *channels([1e-9, 0.31, 0.0107, 1.9e-5, 0.0004, 3.7], [0.0057, 2e-6, 0.41, 0.0091, 1.3, 0.0032],
         [0.0043, 0.21, 4e-5, 0.0023, 0.97], np.int8, 0.06), (1, 2, 5, 5), (100, -100)),
    case("product of two matrices", *product_of_two([0.0171, 0.0122, 0.0931]), (1, 2, 3, 7), (100, -100)),
    case("product of two matrices, scales that make ties", *product_of_two([2.0**-6, 2.0**-5, 2.0**-4]), (1, 2, 3, 7), (100, -100)),
    case("sum, uneven scales that make ties", *sum_of_two([17 * 2.0**-10, 19 * 2.0**-11, 2.0**-5]), (1, 3, 7, 5), (100, -100)),
    case("sum with a constant", *with_constant("Add", "operator", False), (1, 3, 7, 5), (100, -100)),
    case("sum of a constant, as pairs", *with_constant("Add", "pairs", True), (1, 3, 7, 5), (100, -100)),
    case("product with a constant", *with_constant("Mul", "operator", False), (1, 3, 7, 5), (100, -100)),
    case("product of a constant, as pairs", *with_constant("Mul", "pairs", True), (1, 3, 7, 5), (100, -100)),
    case("averages of one scale", *averages_of_one_scale(114), (1, 2, 5, 7), (100, -100)),
    case("averages of one scale, odd zero point", *averages_of_one_scale(37), (1, 2, 5, 7), (100, -100)),
    case("average of many", *average_of_many(0.0171, 0.0093), (1, 2, 23, 17), (100, -100)),
    case("windows of one scale", *windows("operator", [0.0117, 0.0117], u8(114), u8(114), [3, 4], kernel_shape=[2, 2], strides=[2, 2]), (1, 2, 7, 9), (100, -100)),
    case("windows of one scale, as pairs", *windows("pairs", [1 / 255, 1 / 255], u8(0), u8(0), [3, 4], kernel_shape=[2, 2], strides=[2, 2]), (1, 2, 7, 9), (100, -100)),
    case("windows that overlap, signed", *windows("operator", [1 / 51, 1 / 51], np.int8(-3), np.int8(8), [6, 8], kernel_shape=[2, 2]), (1, 2, 7, 9), (100, -100)),
    case("windows of one scale, signed pairs", *windows("pairs", [0.0117, 0.0117], np.int8(-128), np.int8(-128), [6, 8], kernel_shape=[2, 2]), (1, 2, 7, 9), (100, -100)),
    case("windows with padding that does not count", *windows("pairs", [0.0231, 0.0231], u8(99), u8(12), [7, 9], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), (1, 2, 7, 9), (100, -100)),
    case("sum with one for each channel", *spread("Add", "operator", [0.0171, 0.0122, 0.0261], np.uint8, [7, 5], False), (1, 3, 7, 5), (100, -100)),
    case("sum with one for each column, signed", *spread("Add", "operator", [2.0**-5, 0.0122, 0.0373], np.int8, [7, 1], True), (1, 3, 7, 5), (100, -100)),
    case("sum of signed pairs", *spread("Add", "pairs", [0.0171, 2.0**-6, 0.0261], np.int8, [1, 1], False), (1, 3, 7, 5), (100, -100)),
    case("difference from one for each row", *spread("Sub", "pairs", [0.0171, 0.0122, 0.0261], np.uint8, [1, 5], True), (1, 3, 7, 5), (100, -100)),
    case("difference of one scale", *spread("Sub", "pairs", [0.0171, 0.0171, 0.0342], np.uint8, [1, 1], False), (1, 3, 7, 5), (100, -100)),
    case("product with one for each channel, scales that make ties", *spread("Mul", "operator", [0.0171, 2.0**-5, 0.0171], np.uint8, [7, 5], False), (1, 3, 7, 5), (100, -100)),
    case("product of signed pairs, one for each row", *spread("Mul", "pairs", [0.0171, 2.0**-5, 0.0171], np.int8, [1, 5], True), (1, 3, 7, 5), (100, -100)),
    case("record of integers", *of_integers(np.uint8, 114), (1, 2, 5, 5), kind=np.uint8),
    case("record of integers without a zero point", *of_integers(np.uint8, 0), (1, 2, 5, 5), kind=np.uint8),
    case("record of integers, signed", *of_integers(np.int8, -7), (1, 2, 5, 5), kind=np.int8),
    case("windows with padding that counts", *windows("operator", [0.0231, 0.0231], u8(0), u8(0), [5, 4], kernel_shape=[3, 4], pads=[1, 1, 2, 1], strides=[2, 2], count_include_pad=1),
         (1, 2, 7, 9), (100, -100)),
]
golden = Path(__file__).parent / "../src/quantise/golden"
for name, made in (("quantised", cases), ("dynamic", real)):
    (golden / f"{name}.json").write_text(json.dumps(made, separators=(",", ":")) + "\n")
for made in cases + real:
    values = np.array(made["outputs"])
    print(made["name"], values.min(), values.max(), len(made["onnx"]) // 2, "bytes")
