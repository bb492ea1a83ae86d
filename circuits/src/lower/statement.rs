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
    /// Each input of several has its own: bit `i` of one of these says of part `i` of the record that it is public or committed. Parts
    /// of neither are private.
    ByPart {
        /// Public ones.
        public: u64,
        /// Committed ones; all of them have one commitment.
        committed: u64,
    },
}

/// Most inputs of a model that can have a visibility each.
pub const PARTS_MAX: usize = u64::BITS as usize;

impl InputVisibility {
    /// Of parts, in the record's order; none if they are more than [`PARTS_MAX`].
    pub fn by_part(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let (mut public, mut committed) = (0u64, 0u64);
        for (part, visibility) in parts.into_iter().enumerate() {
            let bit = 1u64.checked_shl(u32::try_from(part).ok()?)?;
            match visibility {
                Self::Public => public |= bit,
                Self::Committed => committed |= bit,
                Self::Private | Self::ByPart { .. } => {}
            }
        }
        Some(Self::ByPart { public, committed })
    }

    /// Whether a commitment is part of the statement.
    pub(crate) fn commits(self) -> bool {
        matches!(self, Self::Committed) || matches!(self, Self::ByPart { committed, .. } if committed != 0)
    }

    /// The elements of the record that are public.
    pub(crate) fn public_elements(self, graph: &IntGraph) -> Vec<usize> {
        self.elements(graph, self == Self::Public, |public, _| public)
    }

    /// The elements of the record that are committed to.
    pub(crate) fn committed_elements(self, graph: &IntGraph) -> Vec<usize> {
        self.elements(graph, self == Self::Committed, |_, committed| committed)
    }

    /// `all` of the record, or what belongs to the parts in one of both sets.
    fn elements(self, graph: &IntGraph, all: bool, which: fn(u64, u64) -> u64) -> Vec<usize> {
        let len: usize = graph.tensors.get(graph.input.0).map_or(0, |record| record.shape.iter().product());
        let Self::ByPart { public, committed } = self else {
            return (0..if all { len } else { 0 }).collect();
        };
        let chosen = (0..PARTS_MAX).map(|part| (which(public, committed) >> part) & 1 == 1);
        let parts = graph.parts.iter().zip(chosen);
        let elements = parts.flat_map(|(part, chosen)| std::iter::repeat_n(chosen, part.len)).enumerate();
        elements.take(len).filter_map(|(element, chosen)| chosen.then_some(element)).collect()
    }
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

/// The public inputs of a statement: of the input's integers those that are public, then the output's (in the order of the
/// output view). `None` if a count is not the graph's.
pub fn public_inputs(
    graph: &IntGraph,
    visibility: Visibility,
    input: &[i32],
    output: &[i32],
) -> Option<Vec<Fr>> {
    let inputs: usize = graph.tensors.get(graph.input.0)?.shape.iter().product();
    if input.len() != inputs || output.len() != graph.output.len() {
        return None;
    }
    let public = visibility.input.public_elements(graph);
    let public = public.into_iter().filter_map(|element| input.get(element));
    Some(public.chain(output).map(|value| Fr::from(*value)).collect())
}
