"""Builds convolutional networks as ONNX files: layers are appended, run at once on a few records, and written at the end.

Needs numpy and onnx; the photographs that serve as records come with scikit-learn (and need pillow to be read).
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def windows(x, kernel, stride, pad, fill=0.0):
    """(n, c, h, w) to (n, c, out_h, out_w, kernel, kernel)."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    every = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    return every[:, :, ::stride, ::stride]


def convolve(x, weights, stride, pad, groups):
    """One record at a time, so that unfolded windows stay small."""
    outputs, inputs, kernel, _ = weights.shape
    results = []
    for record in x:
        unfolded = windows(record[None], kernel, stride, pad)[0]
        _, height, width = unfolded.shape[:3]
        if inputs == 1 and groups == outputs:
            results.append(np.einsum("chwij,cij->chw", unfolded, weights[:, 0]))
            continue
        unfolded = unfolded.reshape(groups, inputs, height * width, kernel * kernel)
        columns = unfolded.transpose(0, 1, 3, 2).reshape(groups, inputs * kernel * kernel, height * width)
        matrix = weights.reshape(groups, outputs // groups, inputs * kernel * kernel)
        results.append((matrix @ columns).reshape(outputs, height, width))
    return np.stack(results)


class Network:
    """A network in the making. `values` holds what every tensor is on the calibration records."""

    def __init__(self, name, records, seed=0):
        self.name = name
        self.records = records.astype(np.float32)
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights = [], []
        self.values = {"record": self.records}
        self.counts = {}
        self.macs = 0

    def _emit(self, operator, inputs, value, weights=(), **attributes):
        number = self.counts[operator] = self.counts.get(operator, 0) + 1
        name = f"{operator.lower()}{number}"
        stored = []
        for part, array in weights:
            stored.append(f"{name}.{part}")
            self.weights.append(numpy_helper.from_array(np.asarray(array, np.float32), stored[-1]))
        output = f"{name}.out"
        self.nodes.append(helper.make_node(operator, [*inputs, *stored], [output], name=name, **attributes))
        self.values[output] = value.astype(np.float32)
        return output

    def keep(self, tensor):
        """Forgets all values but the records and this tensor's: no later layer may read another."""
        self.values = {name: self.values[name] for name in ("record", tensor)}

    def conv(self, x, outputs, kernel, stride=1, pad=None, groups=1, weights=None, bias=None):
        value = self.values[x]
        inputs = value.shape[1] // groups
        pad = kernel // 2 if pad is None else pad
        if weights is None:
            deviation = np.sqrt(2 / (inputs * kernel * kernel))
            weights = self.rng.normal(0, deviation, (outputs, inputs, kernel, kernel)).astype(np.float32)
        result = convolve(value, weights, stride, pad, groups)
        self.macs += result[0].size * inputs * kernel * kernel
        parts = [("weight", weights)]
        if bias is not None:
            parts.append(("bias", bias))
            result = result + bias[:, None, None]
        sizes = {"kernel_shape": [kernel] * 2, "pads": [pad] * 4, "strides": [stride] * 2}
        return self._emit("Conv", [x], result, parts, **sizes, group=groups)

    def batch_norm(self, x, scale=1.0):
        """Mean and variance are those of the calibration records; the learned factors are drawn around `scale`."""
        value = self.values[x]
        channels = value.shape[1]
        gamma = scale * self.rng.uniform(0.7, 1.3, channels)
        beta = self.rng.normal(0, 0.1 * scale, channels)
        mean, variance = value.mean((0, 2, 3)), value.var((0, 2, 3)) + 1e-3
        shaped = lambda v: v[:, None, None]
        result = (value - shaped(mean)) / shaped(np.sqrt(variance + 1e-5)) * shaped(gamma) + shaped(beta)
        parts = [("scale", gamma), ("bias", beta), ("mean", mean), ("variance", variance)]
        return self._emit("BatchNormalization", [x], result, parts, epsilon=1e-5)

    def relu(self, x):
        return self._emit("Relu", [x], np.maximum(self.values[x], 0))

    def relu6(self, x):
        number = self.counts.get("Clip", 0) + 1
        bounds = [f"clip{number}.min", f"clip{number}.max"]
        for name, bound in zip(bounds, (0.0, 6.0)):
            self.weights.append(numpy_helper.from_array(np.array(bound, np.float32), name))
        return self._emit("Clip", [x, *bounds], np.clip(self.values[x], 0, 6))

    def add(self, a, b):
        return self._emit("Add", [a, b], self.values[a] + self.values[b])

    def max_pool(self, x, kernel, stride, pad=0):
        value = self.values[x]
        result = windows(value, kernel, stride, pad, -np.inf).max((-2, -1))
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return self._emit("MaxPool", [x], result, **sizes)

    def average_pool(self, x, kernel, stride):
        result = windows(self.values[x], kernel, stride, 0).mean((-2, -1))
        return self._emit("AveragePool", [x], result, kernel_shape=[kernel] * 2, strides=[stride] * 2)

    def global_average_pool(self, x):
        return self._emit("GlobalAveragePool", [x], self.values[x].mean((2, 3), keepdims=True))

    def flatten(self, x):
        value = self.values[x]
        return self._emit("Flatten", [x], value.reshape(len(value), -1))

    def gemm(self, x, outputs, weights=None, bias=None):
        value = self.values[x]
        inputs = value.shape[1]
        if weights is None:
            weights = self.rng.normal(0, np.sqrt(1 / inputs), (outputs, inputs)).astype(np.float32)
        bias = self.rng.normal(0, 0.05, outputs) if bias is None else bias
        self.macs += inputs * outputs
        return self._emit("Gemm", [x], value @ weights.T + bias, [("weight", weights), ("bias", bias)], transB=1)

    def write(self, directory, output):
        """Writes model.onnx, calibration.json (all records) and record.json (the first one)."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        shape = list(self.values[output].shape[1:])
        self.nodes[-1].output[0] = "logits"
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info("record", TensorProto.FLOAT, [1, *self.records.shape[1:]])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, *shape])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        onnx.save(model, directory / "model.onnx")
        flat = [[round(float(v), 5) for v in record.ravel()] for record in self.records]
        (directory / "calibration.json").write_text(json.dumps(flat))
        (directory / "record.json").write_text(json.dumps(flat[0]))
        parameters = sum(int(np.prod(weight.dims)) for weight in self.weights)
        print(f"{self.name}: {parameters:,} parameters, {self.macs:,} multiply–accumulates, in {directory}")


def photographs(count, side, seed=0):
    """Crops of the two photographs that come with scikit-learn, normalised as is usual for ImageNet: (count, 3, side, side)."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(seed)
    images = [image.astype(np.float32) / 255 for image in load_sample_images().images]
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    crops = []
    for index in range(count):
        image = images[index % len(images)]
        size = int(rng.integers(side, min(image.shape[:2]) + 1))
        top, left = (int(rng.integers(0, extent - size + 1)) for extent in image.shape[:2])
        nearest = (np.arange(side) * size) // side
        crop = image[top + nearest][:, left + nearest]
        crops.append((((crop - mean) / deviation).transpose(2, 0, 1))[:, :, :: rng.choice([-1, 1])])
    return np.stack(crops).astype(np.float32)
