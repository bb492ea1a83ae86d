#!/usr/bin/env python3
"""ResNet-18 or ResNet-50 (He, Zhang, Ren, Sun 2015; stride in the 3×3 convolution, as torchvision has it) at 224×224.

    python3 resnet.py 18 DIR
    python3 resnet.py 50 DIR

The weights are random, from a fixed seed; BatchNormalization's statistics are those of the calibration records. So the shapes, the
sizes of all numbers and the cost of a proof are real, and what the network answers means nothing.
"""

import sys

from commands import tell
from network import Network, photographs

DEPTHS = {"18": ([2, 2, 2, 2], False), "50": ([3, 4, 6, 3], True)}


def block(net, x, width, stride, bottleneck):
    outputs = 4 * width if bottleneck else width
    plan = [(1, 1), (3, stride), (1, 1)] if bottleneck else [(3, stride), (3, 1)]
    y = x
    for index, (kernel, step) in enumerate(plan):
        last = index == len(plan) - 1
        y = net.batch_norm(net.conv(y, outputs if last else width, kernel, step), 0.5 if last else 1.0)
        y = y if last else net.relu(y)
    if stride != 1 or net.values[x].shape[1] != outputs:
        x = net.batch_norm(net.conv(x, outputs, 1, stride, pad=0))
    return net.relu(net.add(y, x))


def main(depth, directory):
    counts, bottleneck = DEPTHS[depth]
    net = Network(f"resnet{depth}", photographs(4, 224), seed=int(depth))
    x = net.relu(net.batch_norm(net.conv("record", 64, 7, 2)))
    x = net.max_pool(x, 3, 2, 1)
    for stage, count in enumerate(counts):
        for index in range(count):
            x = block(net, x, 64 << stage, 2 if stage > 0 and index == 0 else 1, bottleneck)
            net.keep(x)
    x = net.gemm(net.flatten(net.global_average_pool(x)), 1000)
    net.write(directory, x)
    tell(directory, memory="8GiB" if bottleneck else "4GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
