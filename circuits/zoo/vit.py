#!/usr/bin/env python3
"""A vision transformer (Dosovitskiy et al. 2021) at 224×224 with patches of 16×16: ViT-Tiny/16, or with `base` ViT-B/16.

    python3 vit.py DIR [tiny|base] [LAYERS]

The classes are read off the mean over all patches, which needs no class token. Random weights, from a fixed seed.
"""

import sys

import numpy as np

from commands import tell
from network import photographs
from transformer import Transformer

SIZES = {"tiny": (192, 3), "base": (768, 12)}
SIDE, PATCH, CLASSES = 224, 16, 1000
MEMORY = {"tiny": "12GiB", "base": "22GiB"}


def main(directory, size="tiny", layers=12):
    (width, heads), patches = SIZES[size], (SIDE // PATCH) ** 2
    net = Transformer(f"ViT-{size}/16", patches, width, heads, seed=16)
    kernel = net.noise("patches.w", (width, 3, PATCH, PATCH), (3 * PATCH * PATCH) ** -0.5)
    bias = net.noise("patches.b", width, 0.02)
    net.macs += patches * width * 3 * PATCH * PATCH
    x = net.node("Conv", ["record", kernel, bias], "patches", kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
    net.constant("line", np.array([1, width, patches], np.int64))
    x = net.node("Transpose", [net.node("Reshape", [x, "line"], "lines")], "tokens", perm=[0, 2, 1])
    x = net.node("Add", [x, net.noise("positions", (1, patches, width), 0.2)], "embedded")
    for index in range(int(layers)):
        x = net.block(x, index)
    mean = net.node("ReduceMean", [net.normal(x, "last"), net.constant("axes", np.array([1], np.int64))], "mean", keepdims=0)
    net.linear(mean, width, CLASSES, "logits", rows=1)
    net.write(directory, [1, 3, SIDE, SIDE], [1, CLASSES], photographs(2, SIDE))
    tell(directory, "--activation-bits 10 --shift 13 --table-bits 17", MEMORY[size])


if __name__ == "__main__":
    main(*sys.argv[1:])
