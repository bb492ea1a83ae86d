#!/usr/bin/env python3
"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov, Chen 2018), width 1.0, at 224×224.

    python3 mobilenet_v2.py DIR

The weights are random, from a fixed seed; BatchNormalization's statistics are those of the calibration records.
"""

import sys

from network import Network, photographs

# Expansion, output channels, repetitions, stride of the first.
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def block(net, x, expansion, outputs, stride):
    inputs = net.values[x].shape[1]
    hidden = expansion * inputs
    y = x if expansion == 1 else net.relu6(net.batch_norm(net.conv(x, hidden, 1)))
    y = net.relu6(net.batch_norm(net.conv(y, hidden, 3, stride, groups=hidden)))
    y = net.batch_norm(net.conv(y, outputs, 1))
    return net.add(y, x) if stride == 1 and inputs == outputs else y


def main(directory):
    net = Network("mobilenet_v2", photographs(4, 224), seed=2)
    x = net.relu6(net.batch_norm(net.conv("record", 32, 3, 2)))
    for expansion, outputs, count, stride in STAGES:
        for index in range(count):
            x = block(net, x, expansion, outputs, stride if index == 0 else 1)
            net.keep(x)
    x = net.relu6(net.batch_norm(net.conv(x, 1280, 1)))
    x = net.gemm(net.flatten(net.global_average_pool(x)), 1000)
    net.write(directory, x)


if __name__ == "__main__":
    main(*sys.argv[1:])
