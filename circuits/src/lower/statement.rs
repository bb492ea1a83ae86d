//! What a proof says: what is public, what is hidden, and the public inputs in order.

use ark_bn254::Fr;
use serde::{Deserialize, Serialize};

use crate::graph::IntGraph;

/// Who may see the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputVisibility {
    /// Its integers are public inputs.
    Public,
    /// Nobody: the statement is "some input gives this output".
    Private,
    /// Nobody, but a commitment to it is public.
    Committed,
}

/// Who may see the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightVisibility {
    /// Everybody: the model commitment is not blinded, so anyone can make it again from the weights.
    Public,
    /// Nobody: the model commitment is blinded.
    Hidden,
}

/// Who may see what; the output is always public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// The input.
    pub input: InputVisibility,
    /// The weights.
    pub weights: WeightVisibility,
}

/// The public inputs of a statement: the input's integers if they are public, then the output's (in the order of the
/// output view). `None` if a count is not the graph's.
pub fn public_inputs(
    graph: &IntGraph,
    visibility: Visibility,
    input: &[i32],
    output: &[i32],
) -> Option<Vec<Fr>> {
    let inputs: usize = graph.tensors.get(graph.input.0)?.shape.iter().product();
    let public = if visibility.input == InputVisibility::Public { input } else { &[] };
    let expected = if visibility.input == InputVisibility::Public { inputs } else { 0 };
    (public.len() == expected && output.len() == graph.output.len())
        .then(|| public.iter().chain(output).map(|value| Fr::from(*value)).collect())
}
