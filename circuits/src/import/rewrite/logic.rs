//! Truth values and integers as real numbers: 0 and 1, and the integers themselves. Comparisons and logic become sums and functions
//! of one number:
//!
//! | written | becomes |
//! |---|---|
//! | `Greater(a, b)`, `Less(b, a)` | `Sign(a − b)`, of which 1 is kept |
//! | `GreaterOrEqual(a, b)`, `LessOrEqual(b, a)` | the same, and 0 becomes 1 |
//! | `Equal(a, b)` | `1 − |Sign(a − b)|` |
//! | `And`, `Or`, `Xor` | a step between 1 and 2, or 0 and 1, of `a + b`; `Xor` of `|a − b|` |
//! | `Not` | `1 − a` |
//! | `Where(c, a, b)`, `c` computed | `b + c·(a − b)` |
//! | `Cast` to a truth value | `|Sign(x)|` |
//!
//! The difference that is compared is requantised like any sum, to a scale `s`: two numbers nearer than `s/2` count as equal. A constant is first
//! rounded to the scale of what it is compared with, so that numbers that are equal stay so.
//! Truth values are exact, 0 or the integer that stands for 1: the steps have slope 4, so that no rounding of a sum matters.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, type_proto};

use super::{MASKED_SOFTMAX, attribute, int_attribute, node};

/// What a value holds in ONNX.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Real,
    Integer,
    Truth,
}

impl Kind {
    fn of(element: i32) -> Self {
        match DataType::try_from(element) {
            Ok(DataType::Bool) => Self::Truth,
            Ok(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => Self::Real,
            _ => Self::Integer,
        }
    }
}

/// Values by name.
#[derive(Default)]
struct Kinds {
    of: HashMap<String, Kind>,
    /// Those that depend on the record.
    computed: std::collections::HashSet<String>,
    made: Vec<NodeProto>,
}

/// Makes every computed value of a graph real.
pub fn realise(graph: &mut GraphProto) {
    let mut kinds = Kinds::default();
    for tensor in &graph.initializer {
        kinds.of.insert(tensor.name.clone(), Kind::of(tensor.data_type));
    }
    for input in &mut graph.input {
        if kinds.of.contains_key(&input.name) {
            continue;
        }
        let Some(type_proto::Value::TensorType(tensor)) =
            input.r#type.as_mut().and_then(|t| t.value.as_mut())
        else {
            continue;
        };
        let small = [DataType::Bool, DataType::Int8, DataType::Uint8, DataType::Int32, DataType::Int64];
        kinds.of.insert(input.name.clone(), Kind::of(tensor.elem_type));
        kinds.computed.insert(input.name.clone());
        if small.iter().any(|kind| tensor.elem_type == i32::from(*kind)) {
            tensor.elem_type = i32::from(DataType::Float);
        }
    }
    for node in std::mem::take(&mut graph.node) {
        kinds.add(node);
    }
    graph.node = kinds.made;
}

impl Kinds {
    fn is_computed(&self, name: &str) -> bool {
        self.computed.contains(name)
    }

    fn kind(&self, name: &str) -> Kind {
        self.of.get(name).copied().unwrap_or(Kind::Real)
    }

    fn is_not_real(&self, name: &str) -> bool {
        self.kind(name) != Kind::Real
    }

    /// Says of the node's outputs what they hold, and takes it over.
    fn push(&mut self, node: NodeProto, kind: Kind, computed: bool) {
        for output in &node.output {
            self.of.insert(output.clone(), kind);
            if computed {
                self.computed.insert(output.clone());
            }
        }
        self.made.push(node);
    }

    fn add(&mut self, node: NodeProto) {
        let operator = node.op_type.as_str();
        let computed = node.input.iter().any(|name| self.is_computed(name));
        if !computed || matches!(operator, "Shape" | "Size") {
            let kind = match operator {
                "Shape" | "Size" => Kind::Integer,
                "DequantizeLinear" => Kind::Real,
                "Cast" => Kind::of(cast_to(&node)),
                "Constant" => attribute(&node, "value").and_then(|a| a.t.as_ref()).map_or_else(
                    || match node.attribute.iter().any(|a| a.name.starts_with("value_int")) {
                        true => Kind::Integer,
                        false => Kind::Real,
                    },
                    |tensor| Kind::of(tensor.data_type),
                ),
                _ => node.input.first().map_or(Kind::Real, |name| self.kind(name)),
            };
            return self.push(node, kind, false);
        }
        if !node.domain.is_empty() {
            return self.push(node, Kind::Real, true);
        }
        match operator {
            "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "Equal" => self.compare(&node),
            "And" | "Or" | "Xor" | "Not" => self.combine(&node),
            "Where" => self.choose(node),
            "Cast" => self.cast(node),
            "Gather" if node.input.first().is_some_and(|table| !self.is_computed(table)) => {
                self.push(super::embedding::lookup(node), Kind::Real, true);
            }
            "ArgMax" | "ArgMin" => self.indices(node, 0),
            "TopK" => self.indices(node, 1),
            _ => self.keep(node),
        }
    }

    /// A node that computes with its operands as they are: constants beside a truth value or an integer become real.
    fn keep(&mut self, mut node: NodeProto) {
        let elementwise = matches!(
            node.op_type.as_str(),
            "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" | "Concat" | "Pow" | "MatMul" | "PRelu"
        );
        let kind = node.input.iter().find(|name| self.is_computed(name)).map_or(Kind::Real, |n| self.kind(n));
        if kind == Kind::Integer && node.op_type == "Div" {
            // Integers divide with a remainder; no operator is called so.
            node.op_type = "Div of integers".into();
        }
        if elementwise {
            let inputs = std::mem::take(&mut node.input);
            node.input = inputs.into_iter().map(|name| self.real(name)).collect();
        }
        let kind = match node.op_type.as_str() {
            "Softmax" | "DequantizeLinear" => Kind::Real,
            "QuantizeLinear" => Kind::Integer,
            _ => kind,
        };
        self.push(node, kind, true);
    }

    /// The value, or if it is a constant of integers or truth values, a real copy of it.
    fn real(&mut self, name: String) -> String {
        if self.is_computed(&name) || !self.of.contains_key(&name) || !self.is_not_real(&name) {
            return name;
        }
        let copy = format!("{name}.real");
        if !self.of.contains_key(&copy) {
            let mut cast = node("Cast", &NodeProto::default(), &[&name], &copy);
            cast.attribute = vec![int_attribute("to", i64::from(i32::from(DataType::Float)))];
            self.push(cast, Kind::Real, false);
        }
        copy
    }

    fn operands(&mut self, node: &NodeProto) -> Option<(String, String)> {
        match node.input.as_slice() {
            [a, b] => Some((self.real(a.clone()), self.real(b.clone()))),
            _ => None,
        }
    }

    /// The steps of a composition, each of the value before it; the last gives the old node's output.
    fn chain(&mut self, old: &NodeProto, first: NodeProto, steps: &[(&str, f32, f32)], kind: Kind) {
        let output = old.output.first().cloned().unwrap_or_default();
        let mut value = first.output.first().cloned().unwrap_or_default();
        self.push(first, Kind::Real, true);
        for (index, (operator, alpha, beta)) in steps.iter().enumerate() {
            let last = index.checked_add(1) == Some(steps.len());
            let name = if last { output.clone() } else { format!("{output}.{operator}{index}") };
            let mut step = node(operator, old, &[&value], &name);
            if *operator == "HardSigmoid" {
                step.attribute =
                    vec![super::float_attribute("alpha", *alpha), super::float_attribute("beta", *beta)];
            }
            self.push(step, if last { kind } else { Kind::Real }, true);
            value = name;
        }
    }

    fn compare(&mut self, old: &NodeProto) {
        let (Some((a, b)), Some(output)) = (self.operands(old), old.output.first()) else {
            return self.push(old.clone(), Kind::Truth, true);
        };
        let (a, b) = if old.op_type.starts_with("Less") { (b, a) } else { (a, b) };
        let difference = node("Sub", old, &[&a, &b], &format!("{output}.difference"));
        let steps: &[(&str, f32, f32)] = match old.op_type.as_str() {
            "Equal" => &[("Sign", 0.0, 0.0), ("Abs", 0.0, 0.0), ("HardSigmoid", -1.0, 1.0)],
            "Greater" | "Less" => &[("Sign", 0.0, 0.0), ("HardSigmoid", 1.0, 0.0)],
            _ => &[("Sign", 0.0, 0.0), ("HardSigmoid", 1.0, 1.0)],
        };
        self.chain(old, difference, steps, Kind::Truth);
    }

    fn combine(&mut self, old: &NodeProto) {
        let output = old.output.first().cloned().unwrap_or_default();
        if let ("Not", [a]) = (old.op_type.as_str(), old.input.as_slice()) {
            let mut step = node("HardSigmoid", old, &[a], &output);
            step.attribute = vec![super::float_attribute("alpha", -4.0), super::float_attribute("beta", 2.5)];
            return self.push(step, Kind::Truth, true);
        }
        let Some((a, b)) = self.operands(old) else { return self.push(old.clone(), Kind::Truth, true) };
        let first = |operator: &str| node(operator, old, &[&a, &b], &format!("{output}.sum"));
        match old.op_type.as_str() {
            "And" => self.chain(old, first("Add"), &[("HardSigmoid", 4.0, -5.5)], Kind::Truth),
            "Or" => self.chain(old, first("Add"), &[("HardSigmoid", 4.0, -1.5)], Kind::Truth),
            _ => {
                let steps = [("Abs", 0.0, 0.0), ("HardSigmoid", 4.0, -1.5)];
                self.chain(old, first("Sub"), &steps, Kind::Truth);
            }
        }
    }

    /// `b + c·(a − b)`; of two constants `c·a + (1 − c)·b`.
    fn choose(&mut self, old: NodeProto) {
        let [condition, a, b] = old.input.as_slice() else { return self.push(old, Kind::Real, true) };
        let (condition, a, b) = (condition.clone(), a.clone(), b.clone());
        let kind = self.kind(&a);
        if !self.is_computed(&condition) {
            return self.push(old, kind, true);
        }
        let output = old.output.first().cloned().unwrap_or_default();
        let part = |name: &str| format!("{output}.{name}");
        let constants = !self.is_computed(&a) && !self.is_computed(&b);
        let (a, b) = (self.real(a), self.real(b));
        if constants {
            let (not, first, second) = (part("not"), part("first"), part("second"));
            let inverse = NodeProto { output: vec![not.clone()], ..node("Not", &old, &[&condition], &not) };
            self.combine(&inverse);
            self.push(node("Mul", &old, &[&condition, &a], &first), Kind::Real, true);
            self.push(node("Mul", &old, &[&not, &b], &second), Kind::Real, true);
            return self.push(node("Add", &old, &[&first, &second], &output), kind, true);
        }
        let (difference, chosen) = (part("difference"), part("chosen"));
        self.push(node("Sub", &old, &[&a, &b], &difference), Kind::Real, true);
        self.push(node("Mul", &old, &[&condition, &difference], &chosen), Kind::Real, true);
        self.push(node("Add", &old, &[&b, &chosen], &output), kind, true);
    }

    fn cast(&mut self, old: NodeProto) {
        let (from, to) = (old.input.first().map_or(Kind::Real, |n| self.kind(n)), Kind::of(cast_to(&old)));
        let (Some(input), Some(output)) = (old.input.first().cloned(), old.output.first().cloned()) else {
            return self.push(old, to, true);
        };
        match (from, to) {
            (Kind::Real, Kind::Real) | (Kind::Real, Kind::Integer) => self.push(old, to, true),
            (Kind::Truth, _) | (Kind::Integer, Kind::Real | Kind::Integer) => {
                self.push(node("Identity", &old, &[&input], &output), to, true);
            }
            (Kind::Real | Kind::Integer, Kind::Truth) => {
                let first = node("Sign", &old, &[&input], &format!("{output}.sign"));
                self.chain(&old, first, &[("Abs", 0.0, 0.0)], to);
            }
        }
    }

    /// Output `which` of the node is made of indices, which the reference computes as integers.
    fn indices(&mut self, mut old: NodeProto, which: usize) {
        let Some(output) = old.output.get_mut(which).filter(|output| !output.is_empty()) else {
            return self.push(old, Kind::Real, true);
        };
        let name = std::mem::replace(output, format!("{output}.index"));
        let index = output.clone();
        let mut cast = node("Cast", &NodeProto::default(), &[&index], &name);
        cast.name = format!("{index}.real");
        cast.attribute = vec![int_attribute("to", i64::from(i32::from(DataType::Float)))];
        self.push(old, Kind::Real, true);
        self.push(cast, Kind::Integer, true);
    }
}

fn cast_to(node: &NodeProto) -> i32 {
    attribute(node, "to").and_then(|a| i32::try_from(a.i).ok()).unwrap_or(0)
}

/// What the float reference runs instead of a softmax with a mask: `Softmax(x − 10^5)` where it is masked.
pub fn without_masks(graph: &mut GraphProto) {
    let mut made = Vec::with_capacity(graph.node.len());
    for old in std::mem::take(&mut graph.node) {
        let ([x, mask], Some(output)) = (old.input.as_slice(), old.output.first()) else {
            made.push(old);
            continue;
        };
        if format!("{}.{}", old.domain, old.op_type) != MASKED_SOFTMAX {
            made.push(old);
            continue;
        }
        let drops = attribute(&old, "drop").is_some_and(|a| a.i != 0);
        let part = |name: &str| format!("{output}.{name}");
        let [real, shifted, low, scores] = ["mask", "shifted", "low", "scores"].map(part);
        let mut cast = node("Cast", &NodeProto::default(), &[mask], &real);
        cast.attribute = vec![int_attribute("to", i64::from(i32::from(DataType::Float)))];
        let constants = [(part("one"), if drops { 0.0 } else { 1.0 }), (part("much"), 1e5)];
        let constants = constants.map(|(name, value)| {
            let tensor = super::number_tensor(&name, if drops && value == 1e5 { -1e5 } else { value });
            graph.initializer.push(tensor);
            name
        });
        let mut softmax = node("Softmax", &old, &[&scores], output);
        softmax.attribute = old.attribute.iter().filter(|a| a.name == "axis").cloned().collect();
        made.extend([
            cast,
            node("Sub", &NodeProto::default(), &[&real, &constants[0]], &shifted),
            node("Mul", &NodeProto::default(), &[&shifted, &constants[1]], &low),
            node("Add", &NodeProto::default(), &[x, &low], &scores),
            softmax,
        ]);
    }
    graph.node = made;
}
