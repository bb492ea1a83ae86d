#!/usr/bin/env python3
"""The shape of GPT-2 small (Radford et al. 2019): one forward pass over 64 tokens that gives the scores of the next one.

    python3 gpt2.py DIR [TOKENS] [LAYERS] [VOCABULARY]

The input is the sum of token and position embeddings, (1, tokens, 768). Attention is causal: a constant mask. Random weights, from a
fixed seed.
"""

import sys

import numpy as np

from commands import tell
from transformer import Transformer

WIDTH, HEADS = 768, 12


def main(directory, tokens=64, layers=12, vocabulary=50257):
    tokens, vocabulary = int(tokens), int(vocabulary)
    net = Transformer("GPT-2 small", tokens, WIDTH, HEADS, seed=2)
    net.constant("causal", np.tril(np.ones((1, 1, tokens, tokens), bool)))
    net.constant("least", np.array(-1e9, np.float32))
    x = "record"
    for index in range(int(layers)):
        x = net.block(x, index, mask="causal")
    bounds = [net.constant(name, np.array([v], np.int64)) for name, v in (("from", tokens - 1), ("to", tokens), ("axis", 1))]
    last = net.node("Slice", [net.normal(x, "last"), *bounds], "next")
    net.macs += WIDTH * vocabulary
    net.node("MatMul", [last, net.noise("head", (WIDTH, vocabulary), WIDTH**-0.5)], "logits")
    records = np.random.default_rng(0).normal(0, 0.2, (2, 1, tokens, WIDTH))
    net.write(directory, [1, tokens, WIDTH], [1, 1, vocabulary], records)
    tell(directory, "--activation-bits 8 --shift 12 --table-bits 17", "15GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
