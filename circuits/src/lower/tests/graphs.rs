//! Small graphs that between them use every kind of node and view.

use super::*;
use crate::graph::{BlockSum, BlockTerm, WeightId};
use crate::import::check::{Onnx, int, ints, noise};
use crate::import::tree_ensemble;
use crate::quantise::{PerToken, QuantiseOptions, quantise, quantise_record};

fn term(tensor: TensorId, shape: &[usize], coefficient: i64, target: Option<Vec<Option<u32>>>) -> Term {
    Term { input: View::plain(tensor, shape.into()), coefficient, target }
}

fn square(pad: usize) -> ConvGeometry {
    ConvGeometry { stride: (1, 1), dilation: (1, 1), pads: (pad, pad, pad, pad), groups: 1 }
}

/// Each element of a (C,H,W) tensor to its window of `size` × `size`; what is left over at the ends to none.
fn windows(shape: (usize, usize, usize), size: usize) -> Vec<Option<u32>> {
    let (channels, height, width) = shape;
    let (oh, ow) = (height / size, width / size);
    let target = (0..channels * height * width).map(|e| {
        let (c, y, x) = (e / (height * width), e / width % height / size, e % width / size);
        (y < oh && x < ow).then_some(((c * oh + y) * ow + x) as u32)
    });
    target.collect()
}

/// Widens a node's promise: the builder takes each term of a sum to reach an output once.
fn widen(graph: &mut IntGraph, name: &str, times: i64) {
    for node in graph.nodes.iter_mut().filter(|node| node.name == name) {
        node.accumulator_bound *= times;
    }
}

fn noisy(b: &mut GraphBuilder, noise: &mut Noise, name: &str, shape: &[usize], magnitude: i32) -> WeightId {
    let values = noise.vector(shape.iter().product(), magnitude);
    b.weight(name, shape, values)
}

/// Two convolutions with a skip connection, average pooling and a last layer.
pub(super) fn cnn() -> Sample {
    let (mut noise, mut b) = (Noise(5), GraphBuilder::new(6, 11, (-128, 127)));
    let x = b.input("x", &[1, 6, 6]);
    let w = noisy(&mut b, &mut noise, "conv1.w", &[3, 1, 3, 3], 20);
    let bias = noisy(&mut b, &mut noise, "conv1.b", &[3], 100);
    let first = b.conv("conv1", x, w, Some(bias), square(1), b.relu_clamp());
    let w = noisy(&mut b, &mut noise, "conv2.w", &[3, 3, 3, 3], 15);
    let second = b.conv("conv2", first, w, None, square(1), b.clamp());
    let shape = [3, 6, 6];
    let terms = vec![term(first, &shape, 1, None), term(second, &shape, 1, None)];
    let sum = b.combine("add", terms, 0, 0, b.relu_clamp(), &shape);
    let pool = vec![term(sum, &shape, 16, Some(windows((3, 6, 6), 2)))];
    let pooled = b.combine("pool", pool, 0, 6, b.clamp(), &[3, 3, 3]);
    let w = noisy(&mut b, &mut noise, "fc.w", &[27, 5], 20);
    let bias = noisy(&mut b, &mut noise, "fc.b", &[5], 100);
    let y = b.matmul("fc", pooled, &[1, 27], w, Some(bias), TableKind::Identity);
    let (mut graph, weights) = b.finish(y);
    widen(&mut graph, "pool", 4);
    (graph, weights, noise.vector(36, 127))
}

/// A strided convolution that adds a view of an earlier tensor and its own input's double to its sums.
pub(super) fn residual_block() -> Sample {
    let (mut noise, mut b) = (Noise(11), GraphBuilder::new(6, 11, (-128, 127)));
    let x = b.input("x", &[2, 5, 7]);
    let skip_geometry = ConvGeometry { stride: (2, 2), ..square(0) };
    let w = noisy(&mut b, &mut noise, "skip.w", &[3, 2, 1, 1], 20);
    let skip = b.conv("skip", x, w, None, skip_geometry, b.clamp());
    let w = noisy(&mut b, &mut noise, "first.w", &[3, 2, 3, 3], 20);
    let first = b.conv("first", x, w, None, ConvGeometry { stride: (2, 2), ..square(1) }, b.relu_clamp());
    let w = noisy(&mut b, &mut noise, "last.w", &[3, 3, 3, 3], 15);
    let bias = noisy(&mut b, &mut noise, "last.b", &[3], 100);
    let last = b.conv("last", first, w, Some(bias), square(1), b.relu_clamp());
    let (mut graph, weights) = b.finish(last);
    let shape = [3, 3, 4];
    let mut terms =
        vec![term(skip, &shape, 37, None), term(first, &shape, -2, None), term(first, &shape, 0, None)];
    terms[0].input.order = Some((0..36).rev().collect());
    let node = &mut graph.nodes[3];
    if let Linear::Conv { residual, .. } = &mut node.linear {
        *residual = terms;
    }
    node.accumulator_bound += 128 * 39;
    (graph, weights, noise.vector(70, 127))
}

/// Two matrix products with four rows, the second of a transposed view, with one weight used twice.
fn matrices() -> Sample {
    let (mut noise, mut b) = (Noise(6), GraphBuilder::new(6, 11, (-128, 127)));
    let x = b.input("x", &[4, 6]);
    let w = noisy(&mut b, &mut noise, "w1", &[6, 4], 20);
    let bias = noisy(&mut b, &mut noise, "b1", &[4], 100);
    let first = b.matmul("first", x, &[4, 6], w, Some(bias), b.clamp());
    let w = noisy(&mut b, &mut noise, "w2", &[4, 4], 20);
    let second = b.matmul("second", first, &[4, 4], w, None, b.clamp());
    let third = b.matmul("third", second, &[4, 4], w, Some(bias), TableKind::Identity);
    let (mut graph, weights) = b.finish(third);
    let transposed = (0..16).map(|e| e % 4 * 4 + e / 4).collect::<Vec<u32>>();
    if let Linear::MatMul { input, .. } = &mut graph.nodes[2].linear {
        input.order = Some(transposed.clone());
    }
    graph.output.order = Some(transposed);
    (graph, weights, noise.vector(24, 127))
}

/// Values of each input of [`in_parts`].
pub(super) const PARTS: [usize; 3] = [2, 5, 6];

/// A record of three inputs, and a layer. No value is 0.
pub(super) fn in_parts() -> Sample {
    let (mut graph, weights, _) = samples::mlp(&[PARTS.iter().sum(), 4]);
    for (name, len) in ["a", "b", "c"].into_iter().zip(PARTS) {
        graph.parts.push(crate::graph::Part { name: name.into(), len, scale: 1.0, range: None });
    }
    let record = (0..13).map(|e| if e % 2 == 0 { 20 + e } else { -30 - e }).collect();
    (graph, weights, record)
}

/// A tensor read by two one-row products with the same weight, and their difference.
fn twins() -> Sample {
    let (mut noise, mut b) = (Noise(7), GraphBuilder::new(5, 11, (-64, 63)));
    let x = b.input("x", &[7]);
    let w = noisy(&mut b, &mut noise, "w", &[7, 6], 20);
    let one = b.matmul("one", x, &[1, 7], w, None, b.relu_clamp());
    let other = b.matmul("other", x, &[1, 7], w, None, b.clamp());
    let terms = vec![term(one, &[6], 3, None), term(other, &[6], -2, None)];
    let y = b.combine("difference", terms, 7, 0, TableKind::Identity, &[6]);
    let (mut graph, weights) = b.finish(y);
    if let Linear::MatMul { input, .. } = &mut graph.nodes[2].linear {
        input.order = Some((0..7).rev().collect());
    }
    (graph, weights, noise.vector(7, 63))
}

/// Global average pooling, then a convolution of 1 × 1 images, then a flattened output.
fn pooled() -> Sample {
    let (mut noise, mut b) = (Noise(8), GraphBuilder::new(6, 11, (-128, 127)));
    let x = b.input("x", &[6, 3, 5]);
    let target = (0..90).map(|e| Some(e / 15)).collect();
    let terms = vec![term(x, &[6, 3, 5], 4, Some(target))];
    let mean = b.combine("mean", terms, 3, 6, b.clamp(), &[6, 1, 1]);
    let w = noisy(&mut b, &mut noise, "w", &[5, 6, 1, 1], 30);
    let y = b.conv("conv", mean, w, None, square(0), b.relu_clamp());
    let (mut graph, weights) = b.finish(y);
    widen(&mut graph, "mean", 15);
    (graph, weights, noise.vector(90, 127))
}

/// A strided, a grouped and a depthwise convolution after one another.
fn strided() -> Sample {
    let (mut noise, mut b) = (Noise(9), GraphBuilder::new(7, 11, (-128, 127)));
    let x = b.input("x", &[2, 9, 10]);
    let mut geometry = ConvGeometry { stride: (2, 2), ..square(1) };
    let w = noisy(&mut b, &mut noise, "w1", &[4, 2, 3, 3], 20);
    let first = b.conv("strided", x, w, None, geometry.clone(), b.relu_clamp());
    let w = noisy(&mut b, &mut noise, "w2", &[6, 2, 2, 2], 20);
    geometry = ConvGeometry { stride: (1, 2), groups: 2, ..square(1) };
    let second = b.conv("grouped", first, w, None, geometry, b.clamp());
    let w = noisy(&mut b, &mut noise, "w3", &[6, 1, 3, 2], 20);
    let bias = noisy(&mut b, &mut noise, "b3", &[6], 100);
    let geometry = ConvGeometry { groups: 6, ..square(0) };
    let third = b.conv("depthwise", second, w, Some(bias), geometry, b.clamp());
    let (graph, weights) = b.finish(third);
    (graph, weights, noise.vector(180, 127))
}

/// A sigmoid of a layer, whose table has no (0, 0), and its product with the layer's input by quarter squares.
pub(super) fn gated() -> Sample {
    let (mut noise, mut b) = (Noise(10), GraphBuilder::new(6, 11, (-128, 127)));
    let x = b.input("x", &[7]);
    let w = noisy(&mut b, &mut noise, "w", &[7, 7], 20);
    let sigmoid = b.table("sigmoid", 1 << 10, |q| (127.0 / (1.0 + (-q as f64 / 64.0).exp())).round() as i32);
    let gate = b.matmul("gate", x, &[1, 7], w, None, TableKind::Identity);
    let square = b.table("square", 256, |q| (q * q / 4) as i32);
    let (mut graph, weights) = {
        let pair = |sign| vec![term(gate, &[7], 1, None), term(x, &[7], sign, None)];
        let plus = b.combine("plus", pair(1), 0, 0, square, &[7]);
        let minus = b.combine("minus", pair(-1), 0, 0, square, &[7]);
        let terms = vec![term(plus, &[7], 1, None), term(minus, &[7], -1, None)];
        let y = b.combine("product", terms, 0, 6, b.clamp(), &[7]);
        b.finish(y)
    };
    graph.nodes[1].table = sigmoid;
    graph.nodes[1].accumulator_bound = 1 << 15;
    for (node, bound) in [(2, 255), (3, 255), (4, 1 << 15)] {
        graph.nodes[node].accumulator_bound = bound;
    }
    (graph, weights, noise.vector(7, 127))
}

/// Two heads of a product of three rows by four columns over seven, one factor transposed, and that times a third tensor; a part
/// of the same cells is in both factors.
pub(super) fn heads() -> Sample {
    let (mut noise, mut b) = (Noise(11), GraphBuilder::new(6, 14, (-128, 127)));
    let x = b.input("x", &[2, 3, 7]);
    let w = noisy(&mut b, &mut noise, "w", &[42, 56], 4);
    let keys = b.matmul("keys", x, &[1, 42], w, None, b.clamp());
    let turned = (0..56).map(|e| e / 28 * 28 + e % 4 * 7 + e % 28 / 4).collect();
    let right = View { tensor: keys, shape: vec![2, 7, 4], order: Some(turned) };
    let scores = b.batch_matmul("scores", View::plain(x, vec![2, 3, 7]), right, 1, b.clamp());
    let values = View::plain(keys, vec![2, 4, 7]);
    let y = b.batch_matmul("mix", View::plain(scores, vec![2, 3, 4]), values, -3, b.clamp());
    let one = b.batch_matmul(
        "square",
        View { tensor: y, shape: vec![6, 1, 7], order: Some((0..42).rev().collect()) },
        View::plain(y, vec![6, 7, 1]),
        1,
        b.clamp(),
    );
    let (graph, weights) = b.finish(one);
    (graph, weights, noise.vector(42, 127))
}

/// Every row times a number of its own, after the row's mean is taken away.
pub(super) fn rows() -> Sample {
    let (mut noise, mut b) = (Noise(12), GraphBuilder::new(6, 14, (-128, 127)));
    let x = b.input("x", &[5, 11]);
    let sums = vec![BlockSum { input: View::plain(x, vec![5, 11]), coefficient: -1 }];
    let all =
        |tensor, coefficient| BlockTerm { input: View::plain(tensor, vec![5, 11]), coefficient, first: 0 };
    let terms = vec![all(x, 11), BlockTerm { first: 4, ..all(x, -3) }];
    let centred = b.spread("centre", terms, sums, 5, 6, b.clamp(), &[5, 11]);
    let target = (0..55).map(|e| Some(e / 11)).collect();
    let total = b.combine("total", vec![term(x, &[5, 11], 6, Some(target))], 0, 6, b.clamp(), &[5]);
    let left = View::plain(total, vec![5, 1, 1]);
    let scaled = b.batch_matmul("scale", left, View::plain(centred, vec![5, 1, 11]), 2, b.clamp());
    let back = vec![BlockSum { input: View::plain(total, vec![5]), coefficient: -2 }];
    let terms = vec![all(scaled, 3)];
    let y = b.spread("add", terms, back, 5, 0, b.clamp(), &[5, 11]);
    let (mut graph, weights) = b.finish(y);
    // The builder takes each term to reach an output once.
    for name in ["total", "scale", "add"] {
        widen(&mut graph, name, 11);
    }
    (graph, weights, noise.vector(55, 127))
}

/// One block of a transformer in ONNX: attention of two heads over five tokens of width 16, and a layer of width 23, each added to
/// what it reads and normalised; then the mean of all tokens.
fn transformer_onnx() -> Onnx {
    let linear = |onnx: Onnx, from: &str, to: &str, (rows, columns): (i64, i64)| {
        let (w, b, product) = (format!("{to}.w"), format!("{to}.b"), format!("{to}.p"));
        let onnx = onnx.noise(&w, &[rows, columns], 0.5).noise(&b, &[columns], 0.3);
        onnx.node("MatMul", &[from, &w], &product, vec![]).node("Add", &[&product, &b], to, vec![])
    };
    let normal = |onnx: Onnx, from: &str, to: &str| {
        let (g, b) = (format!("{to}.g"), format!("{to}.o"));
        let factor = (0..16).map(|e| 0.6 + 0.05 * e as f32).collect();
        let onnx = onnx.floats(&g, &[16], factor).noise(&b, &[16], 0.3);
        onnx.node("LayerNormalization", &[from, &g, &b], to, vec![])
    };
    let mut onnx = Onnx::new(&[1, 5, 16]).ints("split", &[1, 5, 2, 8]).ints("join", &[1, 5, 16]);
    for (name, perm) in [("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])] {
        let (made, split, turned) = (format!("{name}1"), format!("{name}2"), format!("{name}3"));
        onnx = linear(onnx, "x", &made, (16, 16)).node("Reshape", &[&made, "split"], &split, vec![]);
        onnx = onnx.node("Transpose", &[&split], &turned, vec![ints("perm", &perm)]);
    }
    let onnx = onnx.floats("root", &[], vec![2.828_427]).node("MatMul", &["q3", "k3"], "scores", vec![]);
    let onnx = onnx.node("Div", &["scores", "root"], "scaled", vec![]);
    let onnx = onnx.node("Softmax", &["scaled"], "shares", vec![int("axis", -1)]);
    let onnx = onnx.node("MatMul", &["shares", "v3"], "mixed", vec![]);
    let onnx = onnx.node("Transpose", &["mixed"], "turned", vec![ints("perm", &[0, 2, 1, 3])]);
    let onnx = onnx.node("Reshape", &["turned", "join"], "joined", vec![]);
    let onnx = linear(onnx, "joined", "attention", (16, 16)).node("Add", &["x", "attention"], "sum", vec![]);
    let onnx = linear(normal(onnx, "sum", "middle"), "middle", "wide", (16, 23));
    let onnx = linear(onnx.node("Gelu", &["wide"], "gelu", vec![]), "gelu", "narrow", (23, 16));
    let onnx = normal(onnx.node("Add", &["middle", "narrow"], "sum2", vec![]), "sum2", "last");
    onnx.node("ReduceMean", &["last"], "y", vec![ints("axes", &[1]), int("keepdims", 0)])
}

/// The block in integers, and the cosine of its output with that of the float model.
pub(super) fn transformer() -> (Sample, f64) {
    let model = transformer_onnx().import("y").unwrap();
    let records = (0..8).map(|seed| noise(seed, 80, 2.0)).collect::<Vec<_>>();
    let options = QuantiseOptions { shift: Some(11), q_bits: Some(14), ..QuantiseOptions::default() };
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    let record = quantise_record(&graph, &records[3]).unwrap();
    let integers = crate::interpret::run(&graph, &weights, &record).unwrap().output;
    let floats = model.run(&records[3]).unwrap().output;
    let dot = |a: &dyn Fn(usize) -> f64, b: &dyn Fn(usize) -> f64| (0..16).map(|e| a(e) * b(e)).sum::<f64>();
    let (a, b) = (|e: usize| f64::from(integers[e]), |e: usize| f64::from(floats[e]));
    let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
    ((graph, weights, record), cosine)
}

/// A convolution that the model quantises, with a scale for each channel.
pub(super) fn channels() -> Sample {
    use tract_onnx::pb::tensor_proto::DataType::{Int8, Uint8};
    let kernel: Vec<i32> = (0..72).map(|e| e * 37 % 255 - 127).collect();
    let onnx = Onnx::new(&[1, 3, 5, 4]).floats("s", &[], vec![0.02]).bytes("z", &[], Uint8, &[119]);
    let onnx = onnx.bytes("k", &[4, 3, 3, 2], Int8, &kernel).bytes("n", &[4], Int8, &[0; 4]);
    let onnx = onnx.floats("t", &[4], vec![0.0031, 0.0027, 0.0018, 0.0022]);
    let onnx = onnx.floats("u", &[], vec![0.14]).bytes("o", &[], Uint8, &[97]);
    let onnx = onnx.node("QuantizeLinear", &["x", "s", "z"], "q", vec![]);
    let onnx = onnx.node("DequantizeLinear", &["q", "s", "z"], "d", vec![]);
    let onnx = onnx.node("DequantizeLinear", &["k", "t", "n"], "f", vec![int("axis", 0)]);
    let onnx = onnx.node("Conv", &["d", "f"], "c", vec![ints("pads", &[1, 0, 1, 1])]);
    let model = onnx.node("QuantizeLinear", &["c", "u", "o"], "y", vec![]).import("y").unwrap();
    let options = QuantiseOptions { shift: Some(10), q_bits: Some(14), ..QuantiseOptions::default() };
    let records = [noise(1, 60, 3.0)];
    let (graph, weights, report) = quantise(&model, &records, &options).unwrap();
    assert_eq!(report.nodes[1].bit_exact, Some(true));
    let record = quantise_record(&graph, &records[0]).unwrap();
    (graph, weights, record)
}

/// Three rows of a table of seven, by their numbers.
fn lookup() -> Sample {
    let onnx = Onnx::new(&[1, 3]).noise("table", &[7, 5], 1.0).noise("w", &[5, 2], 1.0);
    let onnx = onnx.node("Gather", &["table", "x"], "e", vec![int("axis", 0)]);
    let model = onnx.node("MatMul", &["e", "w"], "y", vec![]).import("y").unwrap();
    let options = QuantiseOptions { shift: Some(6), q_bits: Some(10), ..QuantiseOptions::default() };
    let records = [vec![0.0, 6.0, 3.0], vec![5.0, 5.0, 1.0]];
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    (graph, weights, vec![2, 6, 2])
}

/// Five trees of depth 3 over seven features.
pub(super) fn forest() -> Sample {
    let model = tree_ensemble::tests::of_forest(&tree_ensemble::tests::noisy(5, 3, 7, 2));
    let records = (0..20).map(|seed| noise(seed, 7, 1.0)).collect::<Vec<_>>();
    let options = QuantiseOptions { shift: Some(6), q_bits: Some(10), ..QuantiseOptions::default() };
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    let record = quantise_record(&graph, &records[3]).unwrap();
    (graph, weights, record)
}

/// Rows of two tables by the same numbers, of which one comes twice; row 7 of both is zero.
pub(super) fn looked_up() -> Sample {
    let (mut noise, mut b) = (Noise(23), GraphBuilder::new(6, 11, (-64, 63)));
    let ids = b.row_numbers("x", 5, 11);
    let mut table = |b: &mut GraphBuilder, name: &str, rows: usize, width: usize| {
        let mut values = noise.vector(rows * width, 60);
        values[7 * width..8 * width].fill(0);
        b.weight(name, &[rows, width], values)
    };
    let (words, kinds) = (table(&mut b, "words", 11, 6), table(&mut b, "kinds", 13, 3));
    let word = b.lookup("word", ids, words, b.clamp());
    let kind = b.lookup("kind", ids, kinds, b.relu_clamp());
    let w = noisy(&mut b, &mut noise, "w", &[6, 4], 20);
    let one = b.matmul("one", word, &[5, 6], w, None, b.clamp());
    let w = noisy(&mut b, &mut noise, "v", &[3, 4], 20);
    let other = b.matmul("other", kind, &[5, 3], w, None, b.clamp());
    let terms = vec![term(one, &[20], 1, None), term(other, &[20], 3, None)];
    let y = b.combine("sum", terms, 0, 0, TableKind::Identity, &[5, 4]);
    let (graph, weights) = b.finish(y);
    (graph, weights, vec![7, 0, 10, 7, 3])
}

/// Activations of 10 bits, then of 4 and of 6 from 0 on, and a sum of the two at 8.
pub(super) fn widths() -> Sample {
    let (mut noise, mut b) = (Noise(29), GraphBuilder::new(6, 11, (-512, 511)));
    let x = b.input("x", &[7]);
    let w = noisy(&mut b, &mut noise, "w", &[7, 9], 30);
    let wide = b.matmul("wide", x, &[1, 7], w, None, b.clamp());
    let w = noisy(&mut b, &mut noise, "v", &[9, 5], 25);
    let narrow = b.matmul("narrow", wide, &[1, 9], w, None, TableKind::Clamp { lo: -8, hi: 7 });
    let w = noisy(&mut b, &mut noise, "u", &[9, 5], 25);
    let positive = b.matmul("positive", wide, &[1, 9], w, None, TableKind::ReluClamp { hi: 31 });
    let terms = vec![term(narrow, &[5], 9, None), term(positive, &[5], 5, None)];
    let sum = b.combine("sum", terms, 3, 0, TableKind::Clamp { lo: -128, hi: 127 }, &[5]);
    let w = noisy(&mut b, &mut noise, "t", &[5, 2], 20);
    let y = b.matmul("y", sum, &[1, 5], w, None, TableKind::Identity);
    let (graph, weights) = b.finish(y);
    (graph, weights, noise.vector(7, 500))
}

/// Two products with tokens at scales of their own, one of them with a bias; one token is zero.
pub(super) fn tokens() -> Sample {
    let onnx = Onnx::new(&[1, 5, 6]).noise("w", &[6, 4], 1.0).noise("b", &[4], 0.5).noise("v", &[4, 3], 1.0);
    let onnx = onnx.node("MatMul", &["x", "w"], "a", vec![]).node("Add", &["a", "b"], "c", vec![]);
    let onnx = onnx.node("Relu", &["c"], "d", vec![]).node("MatMul", &["d", "v"], "y", vec![]);
    let model = onnx.import("y").unwrap();
    let options = QuantiseOptions {
        activation_bits: 4,
        per_token: PerToken::All,
        shift: Some(11),
        q_bits: Some(11),
        ..QuantiseOptions::default()
    };
    let uneven =
        |seed| noise(seed, 30, 1.0).iter().zip(0..).map(|(v, e)| v * (1 << (e / 6 * 2)) as f32).collect();
    let mut records: Vec<Vec<f32>> = (0..8).map(uneven).collect();
    records[3][6..12].fill(0.0);
    let (graph, weights, _) = quantise(&model, &records, &options).unwrap();
    let record = quantise_record(&graph, &records[3]).unwrap();
    (graph, weights, record)
}

pub(super) fn all() -> Vec<(&'static str, Sample)> {
    vec![
        ("cnn", cnn()),
        ("matrices", matrices()),
        ("twins", twins()),
        ("pooled", pooled()),
        ("strided", strided()),
        ("max pool", samples::max_pool((3, 5, 6))),
        ("residual", samples::residual()),
        ("residual block", residual_block()),
        ("gated", gated()),
        ("heads", heads()),
        ("rows", rows()),
        ("forest", forest()),
        ("lookup", lookup()),
        ("looked up", looked_up()),
        ("widths", widths()),
        ("tokens", tokens()),
    ]
}
