"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) on 28×28 digits, with average pooling and ReLU.

    python3 lenet.py DIR

It is trained, from a fixed seed, on scikit-learn's 8×8 digits, enlarged to 24×24 and put into a 28×28 frame.
Writes test.json (labelled records that it was not trained on) besides model, calibration and record.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
from network import Network, windows
from train import Flatten, Gemm, Relu, forward, train


class Conv5x5:
    """5×5 convolution."""

    def __init__(self, rng, inputs, outputs, pad):
        self.params = [rng.normal(0, np.sqrt(2 / (25 * inputs)), (outputs, inputs, 5, 5)), np.zeros(outputs)]
        self.pad = pad

    def forward(self, x):
        self.windows = windows(x, 5, 1, self.pad)
        y = np.einsum("nchwij,ocij->nohw", self.windows, self.params[0], optimize=True)
        return y + self.params[1][:, None, None]

    def backward(self, dy):
        self.grads = [np.einsum("nohw,nchwij->ocij", dy, self.windows, optimize=True), dy.sum((0, 2, 3))]
        flipped = self.params[0][:, :, ::-1, ::-1]
        return np.einsum("nohwij,ocij->nchw", windows(dy, 5, 1, 4 - self.pad), flipped, optimize=True)


class AveragePool:
    """2×2, stride 2."""

    params, grads = [], []

    def forward(self, x):
        return windows(x, 2, 2, 0).mean((-2, -1))

    def backward(self, dy):
        return dy.repeat(2, 2).repeat(2, 3) / 4


def enlarged(images):
    """(n, 8, 8) to (n, 1, 28, 28): each pixel nine times, in a frame of zeros."""
    return np.pad(images.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2)))[:, None] / 16


def main(directory):
    digits = load_digits()
    x, held, labels, held_labels = train_test_split(enlarged(digits.images), digits.target, test_size=360, random_state=0)
    rng = np.random.default_rng(5)
    c1, c2 = Conv5x5(rng, 1, 6, 2), Conv5x5(rng, 6, 16, 0)
    dense = [Gemm(rng, 400, 120), Gemm(rng, 120, 84), Gemm(rng, 84, 10)]
    layers = [c1, Relu(), AveragePool(), c2, Relu(), AveragePool(), Flatten()]
    layers += [dense[0], Relu(), dense[1], Relu(), dense[2]]
    train(layers, x, labels, rng, epochs=6, decay=1e-4)
    print(f"right on {np.mean(forward(layers, held).argmax(1) == held_labels):.2%} of {len(held)} held-out digits")

    net = Network("lenet5", x[:64])
    y = net.average_pool(net.relu(net.conv("record", 6, 5, 1, 2, weights=c1.params[0], bias=c1.params[1])), 2, 2)
    y = net.average_pool(net.relu(net.conv(y, 16, 5, 1, 0, weights=c2.params[0], bias=c2.params[1])), 2, 2)
    y = net.flatten(y)
    for index, layer in enumerate(dense):
        y = net.gemm(y, layer.params[0].shape[1], layer.params[0].T, layer.params[1])
        y = y if index == 2 else net.relu(y)
    net.write(directory, y)
    records = [[round(float(v), 5) for v in record.ravel()] for record in held]
    test = {"records": records, "labels": [int(label) for label in held_labels]}
    (Path(directory) / "test.json").write_text(json.dumps(test))


if __name__ == "__main__":
    main(*sys.argv[1:])
