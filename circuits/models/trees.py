"""Makes trees/: small ensembles as XGBoost and LightGBM export them, records, and what ONNX Runtime computes on them.

Packages: numpy, onnx, onnxruntime, onnxmltools, skl2onnx, scikit-learn, xgboost, lightgbm (1.31, 1.16, 3.2 and 4.7 of onnxruntime,
onnxmltools, xgboost and lightgbm made the files). Run: python trees.py
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from lightgbm import LGBMClassifier, LGBMRegressor
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from xgboost import XGBClassifier, XGBRegressor

FEATURES = 6
RNG = np.random.default_rng(3)
X = RNG.normal(0, 1, (400, FEATURES)).astype(np.float32).round(2)
SCORE = X[:, 0] + X[:, 1] * X[:, 2] - 0.5 * X[:, 4]
TWO, THREE = (SCORE > 0.4).astype(int), np.digitize(SCORE, [-0.7, 0.7])
AMOUNT = np.exp(SCORE / 2).astype(np.float32)
TYPES = [("x", FloatTensorType([None, FEATURES]))]


def xgboost(kind, labels, **options):
    model = kind(n_estimators=4, max_depth=3, **options)
    return convert_xgboost(model.fit(X, labels), initial_types=TYPES)


def lightgbm(kind, labels, zipmap=True, **options):
    model = kind(n_estimators=4, max_depth=3, num_leaves=6, verbose=-1, **options)
    made = convert_lightgbm(model.fit(X, labels), initial_types=TYPES, zipmap=zipmap)
    for node in made.graph.node:  # Nobody reads these; they double the file.
        kept = [a for a in node.attribute if a.name != "nodes_hitrates"]
        del node.attribute[:]
        node.attribute.extend(kept)
    return made


def unified(made):
    """The same regressor as a TreeEnsemble of ai.onnx.ml 5, of which the converters write none."""
    old = {a.name: helper.get_attribute_value(a) for a in made.graph.node[0].attribute}
    keys = list(zip(old["nodes_treeids"], old["nodes_nodeids"]))
    inner = [k for k, mode in zip(keys, old["nodes_modes"]) if mode != b"LEAF"]
    leaves = list(zip(old["target_treeids"], old["target_nodeids"]))
    weights = dict(zip(leaves, old["target_weights"]))
    of = lambda name: [dict(zip(keys, old[name]))[k] for k in inner]
    child = lambda name: [(k[0], c) for k, c in zip(inner, of(name))]
    place = lambda k: leaves.index(k) if k in weights else inner.index(k)
    modes = {b"BRANCH_LEQ": 0, b"BRANCH_LT": 1}
    tensor = lambda values, kind: numpy_helper.from_array(np.array(values, kind))
    yes, no = child("nodes_truenodeids"), child("nodes_falsenodeids")
    node = helper.make_node(
        "TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        tree_roots=[inner.index((t, 0)) for t in dict.fromkeys(old["nodes_treeids"])],
        nodes_featureids=of("nodes_featureids"), nodes_splits=tensor(of("nodes_values"), np.float32),
        nodes_modes=tensor([modes[m] for m in of("nodes_modes")], np.uint8),
        nodes_truenodeids=[place(k) for k in yes], nodes_trueleafs=[int(k in weights) for k in yes],
        nodes_falsenodeids=[place(k) for k in no], nodes_falseleafs=[int(k in weights) for k in no],
        leaf_targetids=[0] * len(leaves), leaf_weights=tensor([weights[k] for k in leaves], np.float32),
    )
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([node], "trees", [made.graph.input[0]], [y])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def outputs(made):
    """Probabilities or values, one list a record."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    *_, values = session.run(None, {"x": RECORDS})
    rows = [list(v.values()) if isinstance(v, dict) else np.ravel(v) for v in values]
    return [[float(v) for v in row] for row in rows]


RECORDS = X[:40]
amounts = lightgbm(LGBMRegressor, SCORE)
models = {
    "xgboost-two": xgboost(XGBClassifier, TWO),
    "xgboost-three": xgboost(XGBClassifier, THREE),
    "xgboost-counts": xgboost(XGBRegressor, THREE, objective="count:poisson"),
    "lightgbm-two": lightgbm(LGBMClassifier, TWO),
    "lightgbm-three": lightgbm(LGBMClassifier, THREE, zipmap=False),
    "lightgbm-amounts": lightgbm(LGBMRegressor, AMOUNT, objective="gamma"),
    "lightgbm-unified": unified(amounts),
}
folder = Path(__file__).parent / "trees"
folder.mkdir(exist_ok=True)
assert np.abs(np.array(outputs(amounts)) - np.array(outputs(models["lightgbm-unified"]))).max() < 1e-5
for name, made in models.items():
    onnx.save(made, folder / f"{name}.onnx")
    print(name, len(made.SerializeToString()), "bytes", outputs(made)[0])
written = {
    "records": [[float(f"{v:.2f}") for v in record] for record in RECORDS],
    "outputs": {name: outputs(made) for name, made in models.items()},
}
(folder / "trees.json").write_text(json.dumps(written, separators=(",", ":")) + "\n")
