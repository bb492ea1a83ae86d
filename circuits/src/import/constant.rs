//! `Constant`.

use tract_onnx::pb::attribute_proto::AttributeType;

use super::{Constant, Data, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let name = node.output();
    let constant = if let Some(attribute) = node.attribute("value", AttributeType::Tensor)? {
        let tensor = attribute.t.as_ref();
        let tensor = tensor.ok_or_else(|| Problem::malformed("attribute value holds no tensor"))?;
        Constant { name: name.into(), ..Constant::read(tensor)? }
    } else if let Some(attribute) = node.attribute("value_floats", AttributeType::Floats)? {
        Constant::floats(name, attribute.floats.clone())?
    } else if node.attribute("value_float", AttributeType::Float)?.is_some() {
        Constant { shape: Vec::new(), ..Constant::floats(name, vec![node.float("value_float", 0.0)?])? }
    } else if let Some(ints) = node.ints("value_ints")? {
        Constant { name: name.into(), shape: vec![ints.len()], data: Data::Int(ints.to_vec()) }
    } else if let Some(int) = node.int("value_int")? {
        Constant { name: name.into(), shape: Vec::new(), data: Data::Int(vec![int]) }
    } else {
        return Err(Problem::unsupported("a constant that is neither a tensor nor a list of numbers"));
    };
    importer.bind(name, Value::Constant(constant));
    Ok(())
}
