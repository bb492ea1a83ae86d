//! Who sees which input of a model, as a command line says it: `private` of all, or `private,amount=public` of all but one.

use std::collections::BTreeMap;

use kiln_circuits::{InputVisibility as OfGraph, IntGraph};

use crate::error::Failure;
use crate::meaning::{Input, InputVisibility, Port};

/// Who sees the inputs of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    all: InputVisibility,
    /// Those that someone else sees, by name.
    named: BTreeMap<String, InputVisibility>,
}

impl From<InputVisibility> for Inputs {
    fn from(all: InputVisibility) -> Self {
        Self { all, named: BTreeMap::new() }
    }
}

impl Inputs {
    /// From the command line. A name may contain what separates: what follows its last `=` is who sees it, and a part without one belongs to
    /// the next.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || {
            "expected public, private or committed, and after it inputs that differ, such as private,amount=public"
                .to_owned()
        };
        let visibility = |text: &str| match text {
            "public" => Ok(InputVisibility::Public),
            "private" => Ok(InputVisibility::Private),
            "committed" => Ok(InputVisibility::Committed),
            _ => Err(refused()),
        };
        let mut parts = text.split(',');
        let mut inputs = Self::from(visibility(parts.next().unwrap_or_default())?);
        let mut name = String::new();
        for part in parts {
            match part.rsplit_once('=') {
                None => name = name + part + ",",
                Some((last, seen)) => {
                    inputs.named.insert(std::mem::take(&mut name) + last, visibility(seen)?);
                }
            }
        }
        if name.is_empty() { Ok(inputs) } else { Err(refused()) }
    }

    /// Of a model: who sees its record, and where inputs of several differ or are public, each of them.
    ///
    /// # Errors
    /// A name that no input has.
    pub fn of(&self, graph: &IntGraph) -> Result<(InputVisibility, Vec<Input>), Failure> {
        let several = graph.parts.len() > 1;
        let known = |name: &String| several && graph.parts.iter().any(|part| part.name == *name);
        if let Some(got) = self.named.keys().find(|name| !known(name)) {
            let names =
                graph.parts.iter().map(|part| format!("`{}`", part.name)).collect::<Vec<_>>().join(", ");
            return Err(Failure::Input(match several {
                true => format!("the model has no input `{got}`; its inputs are {names}"),
                false => "the model has one input, so --input takes one word".into(),
            }));
        }
        let seen = |name: &str| self.named.get(name).copied().unwrap_or(self.all);
        let differ = graph.parts.iter().any(|part| seen(&part.name) != self.all);
        if !several || !(differ || self.all == InputVisibility::Public) {
            return Ok((self.all, Vec::new()));
        }
        // The parts follow the record, in this order.
        let tensors = graph.tensors.iter().skip(graph.input.0 + 1);
        let inputs = graph.parts.iter().zip(tensors).map(|(part, tensor)| Input {
            name: part.name.clone(),
            visibility: seen(&part.name),
            port: Port::new(tensor.shape.clone(), part.scale),
        });
        Ok((InputVisibility::Several, inputs.collect()))
    }
}

/// In the words of circuits.
///
/// # Errors
/// More inputs than can differ.
pub fn of_graph(visibility: InputVisibility, inputs: &[Input]) -> Result<OfGraph, Failure> {
    let each = |visibility| match visibility {
        InputVisibility::Public => OfGraph::Public,
        InputVisibility::Committed => OfGraph::Committed,
        InputVisibility::Private | InputVisibility::Several => OfGraph::Private,
    };
    if visibility != InputVisibility::Several {
        return Ok(each(visibility));
    }
    let found = OfGraph::by_part(inputs.iter().map(|input| each(input.visibility)));
    found.ok_or_else(|| {
        let (expected_max, got) = (kiln_circuits::lower::PARTS_MAX, inputs.len());
        Failure::Input(format!("at most {expected_max} inputs can differ in who sees them, the model has {got}; give one word to --input"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_read_with_any_name_and_nothing_else() {
        use InputVisibility::{Committed, Private, Public};
        let given = |all, named: &[(&str, InputVisibility)]| {
            Ok(Inputs { all, named: named.iter().map(|(name, seen)| ((*name).to_owned(), *seen)).collect() })
        };
        assert_eq!(Inputs::parse("committed"), given(Committed, &[]));
        assert_eq!(
            Inputs::parse("private,amount=public,a,b=c=committed"),
            given(Private, &[("amount", Public), ("a,b=c", Committed)])
        );
        for text in [
            "",
            "several",
            "hidden",
            "private,amount",
            "private,amount=",
            "amount=public",
            "private,a=several",
        ] {
            assert!(Inputs::parse(text).is_err(), "{text}");
        }
    }
}
