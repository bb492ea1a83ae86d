//! `Cast` that changes nothing: of a computed tensor to 32-bit floating point, or of constant integers to integers.

use tract_onnx::pb::tensor_proto::DataType;

use super::{Constant, Data, Importer, OnnxNode, Problem, Value};

pub fn import(importer: &mut Importer<'_>, node: &OnnxNode<'_>) -> Result<(), Problem> {
    let to = node.int("to")?.ok_or_else(|| Problem::malformed("attribute to is missing"))?;
    let is = |kind: DataType| to == i64::from(kind as i32);
    let unsupported = || Problem::unsupported(format!("a cast to element type {to} here"));
    match importer.value(node, 0)?.clone() {
        Value::Activation(operand) if is(DataType::Float) => {
            importer.emit_view(node, &operand, operand.view.clone());
            Ok(())
        }
        Value::Constant(Constant { name, shape, data: Data::Int(values), literal })
            if is(DataType::Float) =>
        {
            #[expect(clippy::cast_precision_loss, reason = "as ONNX casts")]
            let data = Data::Float(values.iter().map(|v| *v as f32).collect());
            importer.bind(node.output(), Value::Constant(Constant { name, shape, data, literal }));
            Ok(())
        }
        Value::Constant(constant) => {
            let keeps = match &constant.data {
                Data::Float(_) => is(DataType::Float),
                Data::Int(values) => {
                    let narrow = values.iter().all(|v| i32::try_from(*v).is_ok());
                    is(DataType::Int64) || (is(DataType::Int32) && narrow)
                }
            };
            let constant = Constant { name: node.output().into(), ..constant };
            if !keeps {
                return Err(unsupported());
            }
            importer.bind(node.output(), Value::Constant(constant));
            Ok(())
        }
        _ => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{Onnx, int};

    #[test]
    fn to_float_costs_nothing_and_to_others_is_unsupported() {
        Onnx::new(&[1, 4]).node("Cast", &["x"], "y", vec![int("to", 1)]).check("y");
        let onnx = Onnx::new(&[1, 4]).node("Cast", &["x"], "y", vec![int("to", 7)]);
        assert!(onnx.unsupported("y")[0].contains("element type 7"));
    }
}
