#!/usr/bin/env python3
"""What ONNX Runtime's quantize_static makes of a network of this directory, and whether Kiln's answers on that are ONNX Runtime's.

    pip install numpy onnx onnxruntime
    python circuits/zoo/mobilenet_v2.py --output mobilenet
    python circuits/zoo/static.py mobilenet
    kiln run --model mobilenet/quantised.onnx --calibration mobilenet/calibration.json --input mobilenet/records.npz --compare --json > answers.json
    python circuits/zoo/static.py mobilenet --answers answers.json

The first call calibrates on calibration.json and writes quantised.onnx, operators on integers with weights of 8 bits and a scale for each
channel, and the records as records.npz; the second runs quantised.onnx on these and counts the outputs that are not the same.
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Records(CalibrationDataReader):
    def __init__(self, name, records):
        self.left = iter([{name: record} for record in records])

    def get_next(self):
        return next(self.left, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path, help="where model.onnx and calibration.json are")
    parser.add_argument("--answers", type=pathlib.Path, help="what kiln run --json printed")
    args = parser.parse_args()
    source, target = args.directory / "model.onnx", args.directory / "quantised.onnx"
    taken = onnx.load(source).graph.input[0]
    shape = [dim.dim_value or 1 for dim in taken.type.tensor_type.shape.dim]
    records = [np.float32(record).reshape(shape) for record in json.loads((args.directory / "calibration.json").read_text())]
    if args.answers is None:
        np.savez(args.directory / "records.npz", **{f"{index:04}": record.ravel() for index, record in enumerate(records)})
        with tempfile.TemporaryDirectory() as folder:
            prepared = pathlib.Path(folder) / "prepared.onnx"
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(prepared, target, Records(taken.name, records), quant_format=QuantFormat.QOperator,
                            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True)
        return
    session = ort.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    runtime = np.array([session.run(None, {taken.name: record})[0].ravel() for record in records])
    answers = json.loads(args.answers.read_text())
    kiln = np.array([record["output"] for record in answers["records"]])
    other = kiln != np.rint(runtime / answers["output_scale"])
    print(f"{other.sum()} of {other.size} outputs of {len(records)} records differ from ONNX Runtime's")


main()
