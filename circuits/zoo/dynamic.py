#!/usr/bin/env python3
"""What ONNX Runtime's quantize_dynamic makes of a network of this directory, and how far Kiln's answers are from ONNX Runtime's on that.

    pip install numpy onnx onnxruntime
    python circuits/zoo/minilm.py --tokens 16 --output minilm
    python circuits/zoo/dynamic.py minilm
    kiln run --model minilm/dynamic.onnx --calibration minilm/calibration.json --input minilm/sentences.npz \\
        --activation-bits 12 --shift 16 --table-bits 17 --margin 4 --json > answers.json
    python circuits/zoo/dynamic.py minilm --answers answers.json

The first call writes dynamic.onnx, with weights of 8 bits and a scale for each column; the second runs both files of the directory
on sentences.npz and prints the least cosine between the answers.
"""

import argparse
import json
import pathlib

import numpy as np
import onnxruntime as ort
from onnxruntime.quantization import QuantType, quantize_dynamic


def answers(path, records):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    kind = np.int64 if "int64" in taken.type else np.float32
    run = lambda record: session.run(None, {taken.name: record.astype(kind).reshape(taken.shape)})[0].ravel()
    return [run(record) for record in records]


def least_cosine(left, right):
    cosine = lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b))
    return min(cosine(np.float64(a), np.float64(b)) for a, b in zip(left, right, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path, help="where minilm.onnx is")
    parser.add_argument("--answers", type=pathlib.Path, help="what kiln run --json printed")
    args = parser.parse_args()
    source, target = args.directory / "minilm.onnx", args.directory / "dynamic.onnx"
    if args.answers is None:
        return quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
    records = np.load(args.directory / "sentences.npz")
    records = [records[name] for name in sorted(records)]
    runtime, float_model = answers(target, records), answers(source, records)
    kiln = [record["output"] for record in json.loads(args.answers.read_text())["records"]]
    print(f"{len(records)} records; least cosine of Kiln's answers with ONNX Runtime's on dynamic.onnx {least_cosine(kiln, runtime):.4f}")
    print(f"of those of the float model with these {least_cosine(float_model, runtime):.4f}, of Kiln's with those of the float model {least_cosine(kiln, float_model):.4f}")


main()
