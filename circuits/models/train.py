#!/usr/bin/env python3
"""Trains the two demonstration models and writes them as ONNX with their data files beside this script.

    python3 train.py            train, write every file, print accuracies
    python3 train.py --check    only print the accuracies of the ONNX files that are here

Needs numpy, scikit-learn (for its bundled data sets) and onnx. Everything is seeded: the same versions give the same
files. Training is plain numpy: a list of layers with hand-written gradients, Adam, softmax cross entropy.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
OPSET = 17
CALIBRATION_RECORDS = 128


class Gemm:
    """y = x·w + b on (batch, features)."""

    def __init__(self, rng, inputs, outputs):
        self.params = [rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs)), np.zeros(outputs)]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dy):
        self.grads = [self.x.T @ dy, dy.sum(0)]
        return dy @ self.params[0].T

    def to_onnx(self, name, x, y):
        w, b = (p.astype(np.float32) for p in self.params)
        weights = [numpy_helper.from_array(w.T.copy(), f"{name}.weight"), numpy_helper.from_array(b, f"{name}.bias")]
        node = helper.make_node("Gemm", [x, f"{name}.weight", f"{name}.bias"], [y], name=name, transB=1)
        return node, weights


class Conv3x3:
    """3×3 convolution with padding 1 on (batch, channels, height, width)."""

    def __init__(self, rng, inputs, outputs):
        self.params = [rng.normal(0, np.sqrt(2 / (9 * inputs)), (outputs, inputs, 3, 3)), np.zeros(outputs)]

    def forward(self, x):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        self.windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        return np.einsum("nchwij,ocij->nohw", self.windows, self.params[0], optimize=True) + self.params[1][:, None, None]

    def backward(self, dy):
        self.grads = [np.einsum("nohw,nchwij->ocij", dy, self.windows, optimize=True), dy.sum((0, 2, 3))]
        padded = np.pad(dy, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        return np.einsum("nohwij,ocij->nchw", windows, self.params[0][:, :, ::-1, ::-1], optimize=True)

    def to_onnx(self, name, x, y):
        w, b = (p.astype(np.float32) for p in self.params)
        weights = [numpy_helper.from_array(w, f"{name}.weight"), numpy_helper.from_array(b, f"{name}.bias")]
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        node = helper.make_node("Conv", inputs, [y], name=name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return node, weights


class Plain:
    """A layer without parameters."""

    params, grads = [], []
    attributes = {}

    def to_onnx(self, name, x, y):
        return helper.make_node(type(self).__name__, [x], [y], name=name, **self.attributes), []


class Relu(Plain):
    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


class MaxPool(Plain):
    """2×2, stride 2."""

    attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}

    def forward(self, x):
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
        self.shape, self.winner = x.shape, blocks.argmax(-1)
        return blocks.max(-1)

    def backward(self, dy):
        n, c, h, w = self.shape
        blocks = np.eye(4)[self.winner] * dy[..., None]
        return blocks.reshape(n, c, h // 2, w // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(self.shape)


class Flatten(Plain):
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        return dy.reshape(self.shape)


def forward(layers, x):
    for layer in layers:
        x = layer.forward(x)
    return x


def train(layers, x, labels, rng, epochs, decay):
    """Adam (Kingma and Ba 2015) with decoupled weight decay and a cosine step size."""
    step, batch, (b1, b2) = 0, 32, (0.9, 0.999)
    moments = [[(np.zeros_like(p), np.zeros_like(p)) for p in layer.params] for layer in layers]
    total = epochs * (len(x) // batch)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            chosen = order[start : start + batch]
            logits = forward(layers, x[chosen])
            e = np.exp(logits - logits.max(1, keepdims=True))
            grad = (e / e.sum(1, keepdims=True) - np.eye(logits.shape[1])[labels[chosen]]) / batch
            for layer in reversed(layers):
                grad = layer.backward(grad)
            step += 1
            rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * step / total))
            for layer, state in zip(layers, moments):
                for p, g, (m, v) in zip(layer.params, layer.grads, state):
                    m += (1 - b1) * (g - m)
                    v += (1 - b2) * (g * g - v)
                    p -= rate * (m / (1 - b1**step) / (np.sqrt(v / (1 - b2**step)) + 1e-8) + decay * p)


def write_onnx(path, layers, names, input_shape):
    nodes, weights, x = [], [], "record"
    for layer, name in zip(layers, names):
        y = "logits" if layer is layers[-1] else f"{name}.out"
        node, more = layer.to_onnx(name, x, y)
        nodes.append(node)
        weights += more
        x = y
    classes = layers[-1].params[1].size
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("record", TensorProto.FLOAT, ["batch", *input_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="train.py")
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_json(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def write_data(name, train_x, test_x, test_labels):
    """Records are flat lists in the model's input order."""
    flat = lambda x: np.round(x.reshape(len(x), -1), 4).tolist()
    if np.all(train_x == np.round(train_x)):
        flat = lambda x: x.reshape(len(x), -1).astype(int).tolist()
    write_json(HERE / f"{name}.calibration.json", flat(train_x[:CALIBRATION_RECORDS]))
    write_json(HERE / f"{name}.test.json", {"records": flat(test_x), "labels": test_labels.tolist()})
    write_json(HERE / f"{name}.record.json", flat(test_x[:1])[0])


def diagnostic():
    """Wisconsin breast-cancer records: 30 standardised features, malignant (0) or benign (1)."""
    data = load_breast_cancer()
    split = train_test_split(data.data, data.target, test_size=0.3, random_state=7, stratify=data.target)
    train_x, test_x, train_labels, test_labels = split
    mean, std = train_x.mean(0), train_x.std(0)
    train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
    rng = np.random.default_rng(7)
    layers = [Gemm(rng, 30, 48), Relu(), Gemm(rng, 48, 32), Relu(), Gemm(rng, 32, 2)]
    train(layers, train_x, train_labels, rng, epochs=60, decay=0.05)
    write_onnx(HERE / "diagnostic.onnx", layers, ["fc1", "relu1", "fc2", "relu2", "fc3"], [30])
    write_data("diagnostic", train_x, test_x, test_labels)
    features = [{"name": n, "mean": m, "std": s} for n, m, s in zip(data.feature_names.tolist(), mean, std)]
    preprocessing = {"record": "(raw - mean) / std", "classes": data.target_names.tolist(), "features": features}
    (HERE / "diagnostic.preprocessing.json").write_text(json.dumps(preprocessing, indent=1) + "\n")


def digits():
    """Handwritten digits: 1×8×8 images of raw pixel values 0 to 16, ten classes."""
    data = load_digits()
    images = data.images[:, None]
    split = train_test_split(images, data.target, test_size=0.3, random_state=7, stratify=data.target)
    train_x, test_x, train_labels, test_labels = split
    rng = np.random.default_rng(7)
    layers = [Conv3x3(rng, 1, 8), Relu(), MaxPool(), Conv3x3(rng, 8, 16), Relu(), MaxPool(), Flatten(), Gemm(rng, 64, 10)]
    train(layers, train_x / 16, train_labels, rng, epochs=40, decay=0.05)
    layers[0].params[0] /= 16
    names = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "fc"]
    write_onnx(HERE / "digits.onnx", layers, names, [1, 8, 8])
    write_data("digits", train_x, test_x, test_labels)


def check(name):
    test = json.loads((HERE / f"{name}.test.json").read_text())
    model = onnx.load(HERE / f"{name}.onnx")
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    x = np.array(test["records"], dtype=np.float32).reshape(-1, *shape)
    (logits,) = ReferenceEvaluator(model).run(None, {"record": x})
    right = (logits.argmax(1) == np.array(test["labels"])).sum()
    print(f"{name}: {right} of {len(x)} held-out records right, {100 * right / len(x):.2f} %")


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        diagnostic()
        digits()
    check("diagnostic")
    check("digits")
