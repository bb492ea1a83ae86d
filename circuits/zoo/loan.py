#!/usr/bin/env python3
"""A loan decision by gradient-boosted trees, exported as users of scikit-learn export it.

    pip install numpy onnx scikit-learn skl2onnx
    python3 loan.py DIR [--trees 100] [--depth 4]

scikit-learn ships no data of loans, so the applicants are made by its `make_classification`: 20 numbers each, 8 of which tell
something of whether the loan was paid back, 4 of which repeat others, and 3 % of wrong labels; 30 % did not pay back. The forest is
`GradientBoostingClassifier` trained on 6,000 of them.

Written: model.onnx, calibration.json (600 of the 6,000), record.json (one held-out applicant) and test.json (1,500 held-out
applicants with their labels; `--records` says how many of both). Printed: what scikit-learn and, if it is installed, ONNX Runtime answer on test.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import train_test_split

FEATURES = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--records", type=int, nargs=2, default=(600, 1500), help="for calibration and held out")
    args = parser.parse_args()
    x, y = make_classification(
        7500, FEATURES, n_informative=8, n_redundant=4, n_clusters_per_class=4, weights=[0.3], flip_y=0.03, random_state=7
    )
    x = x.round(3).astype(np.float32)
    x, held, y, labels = train_test_split(x, y, test_size=1500, random_state=0)
    forest = GradientBoostingClassifier(n_estimators=args.trees, max_depth=args.depth, learning_rate=0.2, random_state=0)
    forest.fit(x, y)
    model = to_onnx(forest, x[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    plain = lambda records: [[round(float(v), 3) for v in record] for record in records]
    calibration, held, labels = x[: args.records[0]], held[: args.records[1]], labels[: args.records[1]]
    args.directory.mkdir(parents=True, exist_ok=True)
    (args.directory / "model.onnx").write_bytes(model.SerializeToString())
    files = {
        "calibration": plain(calibration),
        "record": plain(held)[0],
        "test": {"records": plain(held), "labels": labels.tolist()},
    }
    for name, content in files.items():
        (args.directory / f"{name}.json").write_text(json.dumps(content) + "\n")
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_[:, 0])
    print(f"{len(forest.estimators_)} trees, {nodes} nodes with leaves, {FEATURES} features")
    print(f"scikit-learn: right on {forest.score(held, labels):.2%} of {len(labels)}")
    try:
        import onnxruntime
    except ImportError:
        return
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: held})[0]
    print(f"ONNX Runtime: right on {np.mean(answers == labels):.2%}")


if __name__ == "__main__":
    main()
