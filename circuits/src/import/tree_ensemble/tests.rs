use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, ModelProto, OperatorSetIdProto, ValueInfoProto};

use super::*;
use crate::import::check::{int, ints, noise, text, value_info};
use crate::onnx::import_proto;
use crate::quantise::{QuantiseOptions, dequantise_output, quantise, quantise_record};

fn floats(name: &str, values: &[f32]) -> AttributeProto {
    let (name, floats) = (name.into(), values.to_vec());
    AttributeProto { name, floats, r#type: AttributeType::Floats as i32, ..Default::default() }
}

fn strings(name: &str, values: &[&str]) -> AttributeProto {
    let (name, strings) = (name.into(), values.iter().map(|s| s.as_bytes().to_vec()).collect());
    AttributeProto { name, strings, r#type: AttributeType::Strings as i32, ..Default::default() }
}

/// Tree, node, feature, threshold, mode, yes, no.
type Row<'a> = (i64, i64, i64, f32, &'a str, i64, i64);

/// The lists of an ensemble.
fn nodes(rows: &[Row<'_>]) -> Vec<AttributeProto> {
    let column = |pick: fn(&Row<'_>) -> i64| rows.iter().map(pick).collect::<Vec<_>>();
    vec![
        ints("nodes_treeids", &column(|r| r.0)),
        ints("nodes_nodeids", &column(|r| r.1)),
        ints("nodes_featureids", &column(|r| r.2)),
        floats("nodes_values", &rows.iter().map(|r| r.3).collect::<Vec<_>>()),
        strings("nodes_modes", &rows.iter().map(|r| r.4).collect::<Vec<_>>()),
        ints("nodes_truenodeids", &column(|r| r.5)),
        ints("nodes_falsenodeids", &column(|r| r.6)),
    ]
}

/// The leaves' values; a row is (tree, node, output, weight).
fn leaves(prefix: &str, rows: &[(i64, i64, i64, f32)]) -> Vec<AttributeProto> {
    let column = |pick: fn(&(i64, i64, i64, f32)) -> i64| rows.iter().map(pick).collect::<Vec<_>>();
    vec![
        ints(&format!("{prefix}_treeids"), &column(|r| r.0)),
        ints(&format!("{prefix}_nodeids"), &column(|r| r.1)),
        ints(&format!("{prefix}_ids"), &column(|r| r.2)),
        floats(&format!("{prefix}_weights"), &rows.iter().map(|r| r.3).collect::<Vec<_>>()),
    ]
}

fn proto(operator: &str, features: i64, attribute: Vec<AttributeProto>) -> ModelProto {
    let output =
        if operator == CLASSIFIER { vec!["label".into(), "scores".into()] } else { vec!["scores".into()] };
    let node = NodeProto {
        op_type: operator.into(),
        domain: DOMAIN.into(),
        name: "trees".into(),
        input: vec!["x".into()],
        output: output.clone(),
        attribute,
        ..Default::default()
    };
    let named = |name: &String| ValueInfoProto { name: name.clone(), ..Default::default() };
    let graph = GraphProto {
        node: vec![node],
        input: vec![value_info("x", DataType::Float, &[-1, features])],
        output: output.iter().map(named).collect(),
        ..Default::default()
    };
    let opset_import = vec![OperatorSetIdProto { domain: DOMAIN.into(), version: 3 }];
    ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..Default::default() }
}

/// Two trees of unlike form over three features: every inequality, a leaf at depth 1, and one at depth 3.
const ROWS: [Row<'static>; 12] = [
    (7, 0, 0, 0.25, "BRANCH_LEQ", 1, 2),
    (7, 1, 0, 0.0, "LEAF", 0, 0),
    (7, 2, 2, -0.5, "BRANCH_LT", 3, 4),
    (7, 3, 0, 0.0, "LEAF", 0, 0),
    (7, 4, 1, 0.75, "BRANCH_GT", 5, 6),
    (7, 5, 0, 0.0, "LEAF", 0, 0),
    (7, 6, 0, 0.0, "LEAF", 0, 0),
    (9, 3, 1, 0.5, "BRANCH_GTE", 5, 4),
    (9, 4, 0, 0.0, "LEAF", 0, 0),
    (9, 5, 2, 0.125, "BRANCH_LEQ", 6, 8),
    (9, 6, 0, 0.0, "LEAF", 0, 0),
    (9, 8, 0, 0.0, "LEAF", 0, 0),
];

/// What the ensemble of [`ROWS`] gives: the number of the leaf reached in each tree.
fn by_hand(x: &[f32]) -> (i64, i64) {
    let first = match (x[0] <= 0.25, x[2] < -0.5, x[1] > 0.75) {
        (true, ..) => 1,
        (_, true, _) => 3,
        (.., true) => 5,
        _ => 6,
    };
    let second = match (x[1] >= 0.5, x[2] <= 0.125) {
        (false, _) => 4,
        (_, true) => 6,
        _ => 8,
    };
    (first, second)
}

/// Leaf `n` of tree 7 is worth `n`, of tree 9 `−10·n`.
fn regressor() -> ModelProto {
    let of = |tree: i64, factor: f32, nodes: &[i64]| {
        nodes.iter().map(|n| (tree, *n, 0, factor * *n as f32)).collect::<Vec<_>>()
    };
    let values = [of(7, 1.0, &[1, 3, 5, 6]), of(9, -10.0, &[4, 6, 8])].concat();
    let attributes =
        [nodes(&ROWS), leaves("target", &values), vec![int("n_targets", 1), floats("base_values", &[0.5])]];
    proto(REGRESSOR, 3, attributes.concat())
}

/// Records on a grid that has every threshold of [`ROWS`] on it, and eighths around.
fn grid() -> Vec<Vec<f32>> {
    let steps = [-1.0f32, -0.625, -0.5, -0.375, 0.125, 0.25, 0.375, 0.5, 0.75, 0.875, 1.0];
    let rows = steps.iter().flat_map(|a| steps.iter().map(move |b| (*a, *b)));
    rows.flat_map(|(a, b)| steps.iter().map(move |c| vec![a, b, *c])).collect()
}

#[test]
fn every_inequality_decides_as_written_also_on_the_threshold() {
    let model = import_proto(&regressor()).unwrap();
    let options = QuantiseOptions { shift: Some(8), q_bits: Some(14), ..QuantiseOptions::default() };
    let (graph, weights, _) = quantise(&model, &grid(), &options).unwrap();
    for record in grid() {
        let (first, second) = by_hand(&record);
        let expected = 0.5 + first as f32 - 10.0 * second as f32;
        assert_eq!(model.run(&record).unwrap().output, [expected], "{record:?}");
        let integers = quantise_record(&graph, &record).unwrap();
        let output = crate::run(&graph, &weights, &integers).unwrap().output;
        let got = dequantise_output(&graph, &output)[0];
        assert!((got - f64::from(expected)).abs() < 0.02, "{record:?}: {got} {expected}");
    }
}

#[test]
fn values_closer_than_a_step_above_a_threshold_may_count_as_below_and_no_others() {
    let rows =
        [(0, 0, 0, 0.3, "BRANCH_LEQ", 1, 2), (0, 1, 0, 0.0, "LEAF", 0, 0), (0, 2, 0, 0.0, "LEAF", 0, 0)];
    for mode in ["BRANCH_LEQ", "BRANCH_LT"] {
        let mut rows = rows;
        rows[0].4 = mode;
        let attributes = [nodes(&rows), leaves("target", &[(0, 1, 0, 1.0)])].concat();
        let model = import_proto(&proto(REGRESSOR, 1, attributes)).unwrap();
        let (graph, weights, _) =
            quantise(&model, &[vec![1.0], vec![-1.0]], &QuantiseOptions::default()).unwrap();
        let step = graph.tensors[0].scale as f32;
        let mut differing = 0;
        for t in 0..=20_000 {
            let x = t as f32 / 10_000.0 - 1.0;
            let integers = quantise_record(&graph, &[x]).unwrap();
            let holds = crate::run(&graph, &weights, &integers).unwrap().output[0] > 0;
            let beyond = if mode == "BRANCH_LT" { 0.3 - step..0.3 } else { 0.3f32.next_up()..0.3 + step };
            if holds != (model.run(&[x]).unwrap().output[0] > 0.5) {
                assert!(beyond.contains(&x), "{mode} {x}");
                differing += 1;
            }
        }
        assert!(differing > 0, "the bound says something");
    }
}

#[test]
fn classifiers_of_two_and_three_classes_give_scores() {
    let two = |weights: [f32; 3]| {
        let rows = [(7, 1, 0, weights[0]), (7, 5, 0, weights[1]), (9, 4, 0, weights[2])];
        let attributes = vec![ints("classlabels_int64s", &[0, 1]), text("post_transform", "LOGISTIC")];
        proto(CLASSIFIER, 3, [nodes(&ROWS), leaves("class", &rows), attributes].concat())
    };
    let record = [0.0, 0.0, 0.0];
    let model = import_proto(&two([0.25, 0.5, -1.0])).unwrap();
    assert_eq!(model.run(&record).unwrap().output, [0.75, -0.75]);
    assert!(model.notes.iter().any(|note| note.contains("label")), "{:?}", model.notes);
    assert!(model.notes.iter().any(|note| note.contains("LOGISTIC")), "{:?}", model.notes);
    let model = import_proto(&two([0.25, 0.5, 0.5])).unwrap();
    assert_eq!(model.run(&record).unwrap().output, [0.25, 0.75]);
    let rows = [(7, 1, 2, 1.0), (7, 1, 0, 0.5), (9, 4, 1, 0.25), (9, 4, 1, 0.5)];
    let attributes =
        vec![strings("classlabels_strings", &["a", "b", "c"]), floats("base_values", &[0.0, 0.0, 1.0])];
    let three = proto(CLASSIFIER, 3, [nodes(&ROWS), leaves("class", &rows), attributes].concat());
    assert_eq!(import_proto(&three).unwrap().run(&record).unwrap().output, [0.5, 0.75, 2.0]);
}

#[test]
fn averages_are_shares_of_sums() {
    let mut model = regressor();
    model.graph.as_mut().unwrap().node[0].attribute.push(text("aggregate_function", "AVERAGE"));
    let output = import_proto(&model).unwrap().run(&[1.0, 1.0, 1.0]).unwrap().output;
    assert_eq!(output, [0.5 + (5.0 - 80.0) / 2.0]);
}

#[test]
fn integer_forests_of_odd_sizes_agree_where_no_value_is_near_a_threshold() {
    for (trees, depth, features, outputs) in [(1, 1, 1, 1), (5, 3, 7, 1), (17, 2, 3, 3), (3, 5, 4, 2)] {
        let forest = noisy(trees, depth, features, outputs);
        // Values half a step off the thresholds' grid, so that no comparison is near.
        let record =
            |seed: u64| noise(seed, features, 40.0).iter().map(|v| (v.round() + 0.5) / 41.0).collect();
        let records = (0..50).map(record).collect::<Vec<Vec<f32>>>();
        let model = of_forest(&forest);
        let (graph, weights, report) = quantise(&model, &records, &QuantiseOptions::default()).unwrap();
        assert!(report.relative_error < 0.025, "{report:?}");
        for record in &records {
            let integers = quantise_record(&graph, record).unwrap();
            let output = crate::run(&graph, &weights, &integers).unwrap().output;
            for (got, want) in
                dequantise_output(&graph, &output).iter().zip(model.run(record).unwrap().output)
            {
                let unit = graph.tensors.last().unwrap().scale;
                let bound = unit * (0.5 + (trees as f64 + 1.0) / f64::from(2u32 << graph.shift)) + 1e-5;
                assert!((got - f64::from(want)).abs() <= bound, "{got} {want} {bound}");
            }
        }
    }
}

/// A forest of noise whose thresholds are multiples of 1/41; every seventh comparison is missing.
pub(crate) fn noisy(trees: usize, depth: u32, features: usize, outputs: usize) -> Forest {
    let mut forest = Forest::new(trees, depth, features, outputs).unwrap();
    let thresholds = noise(5, forest.splits.len(), 40.0);
    for (index, threshold) in thresholds.iter().enumerate().filter(|(index, _)| index % 7 != 6) {
        let threshold = threshold.round() / 41.0;
        let feature = (index * 5 % features) as u32;
        forest.splits[index] = Some(Split { feature, threshold, strict: index % 3 == 0 });
    }
    forest.leaves = noise(6, forest.leaves.len(), 1.0);
    forest.base = noise(7, outputs, 2.0);
    forest
}

/// The model that a forest is.
pub(crate) fn of_forest(forest: &Forest) -> FloatModel {
    let node = NodeProto { op_type: REGRESSOR.into(), ..Default::default() };
    let node = OnnxNode { name: "trees".into(), proto: &node };
    let forest = Arc::new(forest.clone());
    let graph = Reader { graph: &GraphProto::default(), node: &node }.float_graph("x", &forest, None);
    FloatModel::of_forest(graph, Vec::new(), vec![1, forest.features], forest)
}

#[test]
fn malformed_ensembles_are_refused_in_words() {
    type Spoil = fn(&mut Vec<AttributeProto>);
    let spoils: [(&str, Spoil); 10] = [
        ("a list of", |a| a[1].ints.truncate(3)),
        ("comes twice", |a| a[1].ints[1] = 0),
        ("no node 77", |a| a[5].ints[0] = 77),
        ("two parents", |a| a[5].ints[2] = 0),
        ("feature 3 of 3", |a| a[2].ints[0] = 3),
        ("feature -1 of 3", |a| a[2].ints[0] = -1),
        ("threshold is NaN", |a| a[3].floats[0] = f32::NAN),
        ("differ in length", |a| a[8].ints.truncate(3)),
        ("output 4 of 1", |a| a[9].ints[0] = 4),
        ("not a finite number", |a| a[10].floats[0] = f32::INFINITY),
    ];
    for (words, spoil) in spoils {
        let mut model = regressor();
        spoil(&mut model.graph.as_mut().unwrap().node[0].attribute);
        let error = import_proto(&model).unwrap_err();
        assert!(matches!(&error, ImportError::MalformedNode { node, .. } if node == "trees"), "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn what_is_not_supported_is_said() {
    let refusal = |model: &ModelProto| match import_proto(model).unwrap_err() {
        ImportError::Unsupported { operators } => operators[0].to_string(),
        other => panic!("{other}"),
    };
    let mut model = regressor();
    model.graph.as_mut().unwrap().node[0].attribute[4].strings[0] = b"BRANCH_MEMBER".to_vec();
    assert!(refusal(&model).contains("BRANCH_MEMBER"));
    let mut model = regressor();
    model.graph.as_mut().unwrap().node[0].attribute.push(text("aggregate_function", "MAX"));
    assert!(refusal(&model).contains("aggregate_function MAX"));
    let leaf = [(0, 0, 0, 0.0, "LEAF", 0, 0)];
    let constant = proto(REGRESSOR, 3, [nodes(&leaf), leaves("target", &[(0, 0, 0, 1.0)])].concat());
    assert!(refusal(&constant).contains("depth 0"));
    // A path of 30 comparisons.
    let path = (0..30).flat_map(|n| {
        [(0, 2 * n, 0, 0.0, "BRANCH_LEQ", 2 * n + 1, 2 * n + 2), (0, 2 * n + 1, 0, 0.0, "LEAF", 0, 0)]
    });
    let path = path.chain([(0, 60, 0, 0.0, "LEAF", 0, 0)]).collect::<Vec<_>>();
    let deep = proto(REGRESSOR, 3, [nodes(&path), leaves("target", &[(0, 60, 0, 1.0)])].concat());
    assert!(refusal(&deep).contains("24 levels"));
    assert!(refusal(&with_tail(&[("Tanh", &["scores"], "y")])).contains("beside a Tanh"));
}

/// As [`regressor`], with nodes behind it that read `scores` or each other.
fn with_tail(tail: &[(&str, &[&str], &str)]) -> ModelProto {
    let mut model = regressor();
    let graph = model.graph.as_mut().unwrap();
    for (operator, inputs, output) in tail {
        let input = inputs.iter().map(|name| (*name).into()).collect();
        let (op_type, output) = ((*operator).into(), vec![(*output).into()]);
        graph.node.push(NodeProto { op_type, input, output, ..Default::default() });
    }
    for (name, value) in [("half", 0.5f32), ("one", 1.0), ("minus", -2.0)] {
        graph.initializer.push(tract_onnx::pb::TensorProto {
            name: name.into(),
            dims: vec![1],
            data_type: DataType::Float as i32,
            float_data: vec![value],
            ..Default::default()
        });
    }
    graph.output[0].name = tail.last().unwrap().2.into();
    model
}

#[test]
fn factors_and_a_function_behind_the_scores_are_part_of_the_model() {
    let record = [1.0, 1.0, 1.0];
    let score = f64::from(import_proto(&regressor()).unwrap().run(&record).unwrap().output[0]);
    type Tail<'a> = &'a [(&'a str, &'a [&'a str], &'a str)];
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let cases: [(Tail<'_>, f64); 4] = [
        (&[("Mul", &["minus", "scores"], "y")], -2.0 * score),
        (&[("Div", &["scores", "minus"], "a"), ("Exp", &["a"], "y")], (-score / 2.0).exp()),
        (
            &[("Mul", &["scores", "half"], "a"), ("Exp", &["a"], "b"), ("Mul", &["b", "half"], "y")],
            0.5 * (score / 2.0).exp(),
        ),
        (&[("Sigmoid", &["scores"], "a"), ("Mul", &["a", "one"], "y")], logistic(score)),
    ];
    for (tail, want) in cases {
        let model = import_proto(&with_tail(tail)).unwrap();
        let got = f64::from(model.run(&record).unwrap().output[0]);
        assert!((got - want).abs() <= 1e-5 * want.abs(), "{tail:?}: {got} {want}");
        quantise(&model, &grid(), &QuantiseOptions { q_bits: Some(14), ..QuantiseOptions::default() })
            .unwrap();
    }
    let refused: [Tail<'_>; 4] = [
        &[("Exp", &["scores"], "a"), ("Exp", &["a"], "y")],
        &[("Exp", &["scores"], "a"), ("Mul", &["a", "minus"], "y")],
        &[("Sigmoid", &["scores"], "a"), ("Mul", &["a", "half"], "y")],
        &[("Div", &["one", "scores"], "y")],
    ];
    for tail in refused {
        let error = import_proto(&with_tail(tail)).unwrap_err();
        assert!(matches!(error, ImportError::Unsupported { .. }), "{tail:?}: {error}");
    }
}

/// A list of numbers as a tensor attribute.
fn tensor(name: &str, data_type: DataType, values: &[f64]) -> AttributeProto {
    let mut t = tract_onnx::pb::TensorProto {
        dims: vec![values.len() as i64],
        data_type: data_type as i32,
        ..Default::default()
    };
    match data_type {
        DataType::Float => t.float_data = values.iter().map(|v| *v as f32).collect(),
        DataType::Double => t.double_data = values.to_vec(),
        _ => t.int32_data = values.iter().map(|v| *v as i32).collect(),
    }
    AttributeProto {
        name: name.into(),
        t: Some(t),
        r#type: AttributeType::Tensor as i32,
        ..Default::default()
    }
}

/// Two trees as ai.onnx.ml 5 has them: one of three leaves and one of a single leaf.
fn of_two_lists() -> ModelProto {
    let attributes = vec![
        ints("tree_roots", &[0, 2]),
        ints("nodes_featureids", &[0, 1, 0]),
        tensor("nodes_splits", DataType::Double, &[0.25, 0.5, 0.0]),
        tensor("nodes_modes", DataType::Uint8, &[1.0, 2.0, 0.0]),
        ints("nodes_truenodeids", &[1, 0, 3]),
        ints("nodes_trueleafs", &[0, 1, 1]),
        ints("nodes_falsenodeids", &[2, 1, 3]),
        ints("nodes_falseleafs", &[1, 1, 1]),
        ints("leaf_targetids", &[0, 1, 1, 0]),
        tensor("leaf_weights", DataType::Float, &[1.0, 2.0, 4.0, 8.0]),
        int("n_targets", 2),
    ];
    proto(UNIFIED, 2, attributes)
}

#[test]
fn ensembles_of_inner_nodes_and_leaves_give_their_leaves() {
    let model = import_proto(&of_two_lists()).unwrap();
    for (record, want) in [([0.0, 0.5], [9.0, 0.0]), ([0.2, 0.4], [8.0, 2.0]), ([0.25, 0.5], [8.0, 4.0])] {
        assert_eq!(model.run(&record).unwrap().output, want, "{record:?}");
    }
    let mut average = of_two_lists();
    average.graph.as_mut().unwrap().node[0].attribute.push(int("aggregate_function", 0));
    assert_eq!(import_proto(&average).unwrap().run(&[0.0, 0.5]).unwrap().output, [4.5, 0.0]);
}

#[test]
fn malformed_ensembles_of_inner_nodes_and_leaves_are_refused() {
    type Spoil = fn(&mut Vec<AttributeProto>);
    let spoils: [(&str, Spoil); 10] = [
        ("a list of", |a| a[1].ints.truncate(2)),
        ("two parents", |a| a[4].ints[0] = 0),
        ("two parents", |a| a[0].ints.push(0)),
        ("no node 7", |a| a[4].ints[0] = 7),
        ("leaf 9 of 4", |a| a[6].ints[0] = 9),
        ("output 2 of 2", |a| a[8].ints[1] = 2),
        ("differ in length", |a| a[8].ints.truncate(3)),
        ("mode 7, expected 0 to 6", |a| a[3].t.as_mut().unwrap().int32_data[0] = 7),
        ("has no set", |a| a[3].t.as_mut().unwrap().int32_data[0] = 6),
        ("aggregate_function 3", |a| a.push(int("aggregate_function", 3))),
    ];
    for (words, spoil) in spoils {
        let mut model = of_two_lists();
        spoil(&mut model.graph.as_mut().unwrap().node[0].attribute);
        let error = import_proto(&model).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

/// Feature 0 in {1, 3, 7}, or feature 1 equal to 2, or feature 0 other than 5: the leaves in this order, and the last for none.
fn of_categories(sets: &[f64]) -> ModelProto {
    let attributes = vec![
        ints("tree_roots", &[0]),
        ints("nodes_featureids", &[0, 1, 0]),
        tensor("nodes_splits", DataType::Float, &[0.0, 2.0, 5.0]),
        tensor("nodes_modes", DataType::Uint8, &[6.0, 4.0, 5.0]),
        tensor("membership_values", DataType::Float, sets),
        ints("nodes_truenodeids", &[0, 1, 2]),
        ints("nodes_trueleafs", &[1, 1, 1]),
        ints("nodes_falsenodeids", &[1, 2, 3]),
        ints("nodes_falseleafs", &[0, 0, 1]),
        ints("leaf_targetids", &[0, 0, 0, 0]),
        tensor("leaf_weights", DataType::Float, &[1.0, 2.0, 4.0, 8.0]),
        int("n_targets", 1),
    ];
    proto(UNIFIED, 2, attributes)
}

#[test]
fn categories_are_told_apart_by_equality_and_membership() {
    let model = import_proto(&of_categories(&[3.0, 7.0, 1.0, 3.0, f64::NAN])).unwrap();
    let by_hand = |x: &[f32]| match (x[0], x[1]) {
        (1.0 | 3.0 | 7.0, _) => 1.0,
        (_, 2.0) => 2.0,
        (5.0, _) => 8.0,
        _ => 4.0,
    };
    let records = (0..9).flat_map(|a| (0..4).map(move |b| vec![a as f32, b as f32])).collect::<Vec<_>>();
    let options = QuantiseOptions { shift: Some(6), q_bits: Some(10), ..QuantiseOptions::default() };
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    for record in &records {
        assert_eq!(model.run(record).unwrap().output, [by_hand(record)], "{record:?}");
        let integers = quantise_record(&graph, record).unwrap();
        let output = crate::run(&graph, &weights, &integers).unwrap().output;
        let got = dequantise_output(&graph, &output)[0];
        assert!((got - f64::from(by_hand(record))).abs() < 0.5, "{record:?}: {got}");
    }
    for near in [0.99, 2.5, 6.999, -1.0, 7.001] {
        assert_eq!(model.run(&[near, 0.0]).unwrap().output, [4.0], "{near} is in no set");
    }
}

#[test]
fn sets_that_fit_no_node_are_refused() {
    for sets in [&[][..], &[f64::NAN, 3.0], &[1.0, f64::NAN, 3.0], &[f64::INFINITY]] {
        let refused = import_proto(&of_categories(sets));
        assert!(matches!(refused, Err(ImportError::MalformedNode { .. })), "{sets:?}");
    }
    // 30 values are as many levels.
    let many = (0..30).map(f64::from).collect::<Vec<_>>();
    assert!(import_proto(&of_categories(&many)).unwrap_err().to_string().contains("24 levels"));
}

#[test]
fn lists_may_be_tensors() {
    let mut model = regressor();
    for attribute in &mut model.graph.as_mut().unwrap().node[0].attribute {
        if attribute.r#type == AttributeType::Floats as i32 {
            let values = attribute.floats.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            *attribute = tensor(&format!("{}_as_tensor", attribute.name), DataType::Double, &values);
        }
    }
    let (tensors, lists) = (import_proto(&model).unwrap(), import_proto(&regressor()).unwrap());
    for record in [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, 0.6, -1.0]] {
        assert_eq!(tensors.run(&record).unwrap(), lists.run(&record).unwrap());
    }
}
