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
        Constant { name: name.into(), shape: vec![ints.len()], data: Data::Int(ints.to_vec()), literal: true }
    } else if let Some(int) = node.int("value_int")? {
        Constant { name: name.into(), shape: Vec::new(), data: Data::Int(vec![int]), literal: true }
    } else {
        return Err(Problem::unsupported("a constant that is neither a tensor nor a list of numbers"));
    };
    importer.bind(name, Value::Constant(Constant { literal: true, ..constant }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::super::check::{Onnx, float, ints};
    use super::AttributeType;

    #[test]
    fn constants_feed_other_nodes() {
        let onnx = Onnx::new(&[1, 6]).node("Constant", &[], "s", vec![ints("value_ints", &[1, 2, -1])]);
        let onnx = onnx.node("Constant", &[], "c", vec![float("value_float", 2.5)]);
        let onnx = onnx.node("Reshape", &["x", "s"], "r", vec![]).node("Add", &["r", "c"], "y", vec![]);
        assert_eq!(onnx.check("y").graph.output.shape, [2, 3]);
    }

    #[test]
    fn unusable_constants_are_refused() {
        let base = |attribute| Onnx::new(&[1, 6]).node("Constant", &[], "y", vec![attribute]);
        let empty = AttributeProto {
            name: "value".into(),
            r#type: AttributeType::Tensor as i32,
            ..Default::default()
        };
        assert!(base(empty).malformed("y").contains("holds no tensor"));
        assert!(base(float("value_float", f32::NAN)).malformed("y").contains("NaN"));
        assert!(base(float("value_string", 1.0)).unsupported("y")[0].contains("neither"));
        assert!(base(float("value_ints", 1.0)).malformed("y").contains("Ints"));
    }
}
