#!/usr/bin/env python3
"""VGG-16 (Simonyan, Zisserman 2014), without batch normalisation, at 224×224.

    python3 vgg16.py DIR

The weights are random, from a fixed seed (He initialisation, so that values keep their size from layer to layer).
"""

import sys

from commands import tell
from network import Network, photographs

WIDTHS = [[64, 64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]]


def main(directory):
    net = Network("vgg16", photographs(2, 224), seed=16)
    x = "record"
    for stage in WIDTHS:
        for width in stage:
            bias = net.rng.normal(0, 0.05, width)
            x = net.relu(net.conv(x, width, 3, bias=bias))
            net.keep(x)
        x = net.max_pool(x, 2, 2)
    x = net.flatten(x)
    x = net.relu(net.gemm(x, 4096))
    x = net.relu(net.gemm(x, 4096))
    net.write(directory, net.gemm(x, 1000))
    tell(directory, "--activation-bits 8 --shift 12 --table-bits 16", "14GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
