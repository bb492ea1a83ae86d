//! Lookups by numbers out of the record: `Gather` under another name, because all that is computed is real here and ONNX's `Gather` takes
//! integers.
// Reads bytes from outside.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::as_conversions, clippy::arithmetic_side_effects)
)]

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto};

use super::{EMBEDDING, int_attribute, node};

/// A `Gather` as a lookup.
pub fn lookup(mut gather: NodeProto) -> NodeProto {
    if let Some((domain, operator)) = EMBEDDING.rsplit_once('.') {
        (gather.domain, gather.op_type) = (domain.into(), operator.into());
    }
    gather
}

/// Lookups in ONNX's own words, for the float reference.
pub fn without_lookups(graph: &mut GraphProto) {
    let mut made = Vec::with_capacity(graph.node.len());
    for mut old in std::mem::take(&mut graph.node) {
        if format!("{}.{}", old.domain, old.op_type) == EMBEDDING
            && let Some(ids) = old.input.get_mut(1)
        {
            let whole = format!("{ids}.{}.ids", old.output.first().map_or("", String::as_str));
            let real = std::mem::replace(ids, whole.clone());
            let mut cast = node("Cast", &NodeProto::default(), &[&real], &whole);
            cast.attribute = vec![int_attribute("to", i64::from(i32::from(DataType::Int64)))];
            made.push(cast);
            (old.domain, old.op_type) = (String::new(), "Gather".into());
        }
        made.push(old);
    }
    graph.node = made;
}
