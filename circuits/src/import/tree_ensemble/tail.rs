//! What exporters write behind an ensemble of trees, followed back from the model's outputs.
//!
//! Left out is what keeps the order of the scores and changes them only into probabilities or a mapping from labels: `Softmax`,
//! `Normalizer` (L1), `ZipMap`, `Cast`, changes of shape, products by 1. What gives a regressor its values is kept: products and quotients
//! by one constant, which the leaves take, and one function, `Exp` or `Sigmoid`. A factor `c` after `Exp` is `ln c` in the base values, for it
//! may be learned, and these are hidden.

use tract_onnx::pb::{GraphProto, NodeProto};

use super::super::{Constant, Data, Problem};
use crate::float::Function;
use crate::forest::Forest;

/// What a value of the graph is made from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    Record,
    Scores(Tail),
    Label,
}

/// What becomes of the scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tail {
    steps: Vec<Step>,
    /// Operators that are left out.
    pub(super) left_out: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Scale(f32),
    Exp,
    Sigmoid,
}

/// The value that a node hands on, and what it does to it.
enum Through<'a> {
    Same(&'a str),
    LeftOut(&'a str),
    Label(&'a str),
    Step(&'a str, Step),
}

/// Follows `value` back to the record or to the ensemble, node `trees`; its result `scores_output` holds the scores, any other the label.
pub(super) fn origin(
    graph: &GraphProto,
    trees: (&NodeProto, &str),
    scores_output: usize,
    value: &str,
    input: &str,
) -> Result<Origin, Problem> {
    let (mut value, mut label, mut tail) = (value, false, Tail::default());
    for _ in 0..=graph.node.len() {
        if value == input {
            return Ok(Origin::Record);
        }
        let maker = graph.node.iter().find(|node| node.output.iter().any(|name| name == value));
        let maker = maker.ok_or_else(|| Problem::malformed(format!("nothing makes `{value}`")))?;
        if std::ptr::eq(maker, trees.0) {
            tail.steps.reverse();
            let scores = maker.output.get(scores_output).is_some_and(|name| name == value);
            return Ok(if scores && !label { Origin::Scores(tail) } else { Origin::Label });
        }
        value = match through(graph, maker, value)? {
            Some(Through::Same(next)) => next,
            Some(Through::LeftOut(next)) => {
                tail.left_out.push(maker.op_type.clone());
                next
            }
            Some(Through::Label(next)) => {
                label = true;
                next
            }
            Some(Through::Step(next, step)) => {
                tail.steps.push(step);
                next
            }
            None => {
                return Err(Problem::unsupported(format!(
                    "`{}` stands beside a {}; an ensemble of trees is supported as a whole model, with Exp, Sigmoid and products by one constant behind it",
                    trees.1, maker.op_type
                )));
            }
        };
    }
    Err(Problem::malformed(format!("`{value}` depends on itself")))
}

fn through<'a>(
    graph: &GraphProto,
    maker: &'a NodeProto,
    value: &str,
) -> Result<Option<Through<'a>>, Problem> {
    let operand = |index: usize| {
        let missing = || Problem::malformed(format!("an input of the node that makes `{value}` is missing"));
        maker.input.get(index).map(String::as_str).ok_or_else(missing)
    };
    Ok(Some(match maker.op_type.as_str() {
        "Identity" | "Cast" | "Flatten" | "Reshape" | "Squeeze" | "ZipMap" => Through::Same(operand(0)?),
        "Softmax" => Through::LeftOut(operand(0)?),
        "Normalizer" if maker.attribute.iter().any(|a| a.name == "norm" && a.s == b"L1") => {
            Through::LeftOut(operand(0)?)
        }
        "ArgMax" => Through::Label(operand(0)?),
        "ArrayFeatureExtractor" => Through::Label(operand(1)?),
        "Exp" => Through::Step(operand(0)?, Step::Exp),
        "Sigmoid" => Through::Step(operand(0)?, Step::Sigmoid),
        "Mul" => match (number(graph, operand(0)?)?, number(graph, operand(1)?)?) {
            (None, Some(c)) => Through::Step(operand(0)?, Step::Scale(c)),
            (Some(c), None) => Through::Step(operand(1)?, Step::Scale(c)),
            _ => return Ok(None),
        },
        "Div" => match (number(graph, operand(0)?)?, number(graph, operand(1)?)?) {
            (None, Some(c)) if c != 0.0 => Through::Step(operand(0)?, Step::Scale(1.0 / c)),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

/// The number that an initialiser holds in all its elements, if `name` is one.
fn number(graph: &GraphProto, name: &str) -> Result<Option<f32>, Problem> {
    let Some(tensor) = graph.initializer.iter().find(|tensor| tensor.name == name) else { return Ok(None) };
    let Data::Float(values) = Constant::read(tensor)?.data else { return Ok(None) };
    Ok(values.first().copied().filter(|first| values.iter().all(|v| v == first)))
}

impl Tail {
    /// Puts the factors into the forest; returns the function of the scores that is left.
    pub(super) fn fold(&self, forest: &mut Forest) -> Result<Option<Function>, Problem> {
        let mut function = None;
        let scale = |forest: &mut Forest, c: f32| {
            forest.leaves.iter_mut().chain(&mut forest.base).for_each(|v| *v *= c);
        };
        for step in &self.steps {
            match (step, function) {
                (Step::Scale(c), None) => scale(forest, *c),
                (Step::Scale(c), Some(_)) if *c == 1.0 => {}
                (Step::Scale(c), Some(Step::Exp)) if *c > 0.0 => {
                    forest.base.iter_mut().for_each(|v| *v += libm::logf(*c));
                }
                (Step::Exp | Step::Sigmoid, None) => function = Some(*step),
                (step, _) => {
                    return Err(Problem::unsupported(format!(
                        "a {step:?} behind a function of the scores; expected one function, and after Exp positive factors"
                    )));
                }
            }
        }
        Ok(function.map(|step| match step {
            Step::Sigmoid => Function {
                name: "Sigmoid".into(),
                value: std::sync::Arc::new(|x| 1.0 / (1.0 + libm::exp(-x))),
            },
            _ => Function { name: "Exp".into(), value: std::sync::Arc::new(libm::exp) },
        }))
    }
}
