//! A node of an ONNX file with typed access to its attributes.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::Problem;

/// A node under import.
pub struct OnnxNode<'a> {
    /// Its name, or that of its first output, or its position.
    pub name: String,
    /// The protobuf message.
    pub proto: &'a NodeProto,
}

impl<'a> OnnxNode<'a> {
    /// Names the node.
    pub fn new(proto: &'a NodeProto, position: usize) -> Self {
        let first_output = proto.output.first().filter(|o| !o.is_empty());
        let name = match (proto.name.as_str(), first_output) {
            ("", Some(output)) => output.clone(),
            ("", None) => format!("#{position}"),
            (name, _) => name.into(),
        };
        Self { name, proto }
    }

    /// Name of the ONNX value that the node's first output gives.
    pub fn output(&self) -> &'a str {
        self.proto.output.first().map_or("", String::as_str)
    }

    /// Name of input `index`, if it is given.
    pub fn input(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Problem> {
        Ok(self.attribute(name, AttributeType::Int)?.map(|a| a.i))
    }

    /// A switch: an integer attribute that is 0 when it is absent.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.int(name)?.unwrap_or(0) != 0)
    }

    /// A real attribute, finite.
    pub fn float(&self, name: &str, default: f32) -> Result<f32, Problem> {
        let value = self.attribute(name, AttributeType::Float)?.map_or(default, |a| a.f);
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Problem::malformed(format!("attribute {name} is {value}")))
        }
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, Problem> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|a| a.ints.as_slice()))
    }

    /// A list of sizes.
    pub fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, Problem> {
        let Some(ints) = self.ints(name)? else { return Ok(None) };
        let sizes = ints.iter().map(|i| usize::try_from(*i)).collect::<Result<_, _>>();
        sizes
            .map(Some)
            .map_err(|_| Problem::malformed(format!("attribute {name} has a negative size: {ints:?}")))
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let attribute = self.attribute(name, AttributeType::String)?;
        Ok(attribute.map(|a| String::from_utf8_lossy(&a.s).into_owned()))
    }

    /// An attribute of the given type.
    pub fn attribute(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>, Problem> {
        let Some(found) = self.proto.attribute.iter().find(|a| a.name == name) else { return Ok(None) };
        if found.r#type == i32::from(kind) {
            return Ok(Some(found));
        }
        let got = AttributeType::try_from(found.r#type).unwrap_or(AttributeType::Undefined);
        Err(Problem::malformed(format!("attribute {name} should be of type {kind:?}, got {got:?}")))
    }
}
