//! For tests of operators: small ONNX models made in place, and the one check that they all use.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

use crate::accuracy::measure_layers;
use crate::float::FloatModel;
use crate::onnx::{ImportError, import_proto};
use crate::quantise::{Calibration, QuantiseOptions, quantise};
use crate::samples::Noise;

/// An ONNX model under construction; its input is called `x`.
pub struct Onnx(GraphProto);

impl Onnx {
    pub fn new(input_shape: &[i64]) -> Self {
        let x = value_info("x", DataType::Float, input_shape);
        Self(GraphProto { name: "test".into(), input: vec![x], ..Default::default() })
    }

    /// One more input.
    pub fn input(mut self, name: &str, shape: &[i64]) -> Self {
        self.0.input.push(value_info(name, DataType::Float, shape));
        self
    }

    /// A real constant of noise in −`magnitude`..=`magnitude`, on a grid of 1/1000 of that.
    pub fn noise(self, name: &str, shape: &[i64], magnitude: f32) -> Self {
        let seed = name.bytes().map(u64::from).sum();
        let values = noise(seed, shape.iter().product::<i64>() as usize, magnitude);
        self.floats(name, shape, values)
    }

    pub fn floats(mut self, name: &str, shape: &[i64], float_data: Vec<f32>) -> Self {
        let (name, dims, data_type) = (name.into(), shape.to_vec(), DataType::Float as i32);
        self.0.initializer.push(TensorProto { name, dims, data_type, float_data, ..Default::default() });
        self
    }

    pub fn ints(mut self, name: &str, int64_data: &[i64]) -> Self {
        let (name, dims, data_type) = (name.into(), vec![int64_data.len() as i64], DataType::Int64 as i32);
        let int64_data = int64_data.to_vec();
        self.0.initializer.push(TensorProto { name, dims, data_type, int64_data, ..Default::default() });
        self
    }

    /// A constant of 8-bit integers.
    pub fn bytes(mut self, name: &str, shape: &[i64], kind: DataType, values: &[i32]) -> Self {
        let (name, dims, data_type) = (name.into(), shape.to_vec(), kind as i32);
        let int32_data = values.to_vec();
        self.0.initializer.push(TensorProto { name, dims, data_type, int32_data, ..Default::default() });
        self
    }

    /// A `Split`, called after its first output.
    pub fn split(mut self, input: &str, outputs: &[&str], sizes: Option<&str>, axis: i64) -> Self {
        let input = [Some(input), sizes].into_iter().flatten().map(str::to_owned).collect();
        let output = outputs.iter().map(|o| o.to_string()).collect();
        let (op_type, name, attribute) = ("Split".into(), outputs[0].into(), vec![int("axis", axis)]);
        self.0.node.push(NodeProto { op_type, name, input, output, attribute, ..Default::default() });
        self
    }

    /// A node with several outputs, called after the first.
    pub fn several(mut self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let (op_type, name, input, output) =
            (operator.into(), outputs[0].into(), list(inputs), list(outputs));
        self.0.node.push(NodeProto { op_type, name, input, output, ..Default::default() });
        self
    }

    /// A `TopK` with outputs `v` and `i`.
    pub fn top_k(mut self, input: &str, count: &str, attribute: Vec<AttributeProto>) -> Self {
        let (input, output) = (vec![input.into(), count.into()], vec!["v".into(), "i".into()]);
        let (op_type, name) = ("TopK".into(), "top".into());
        self.0.node.push(NodeProto { op_type, name, input, output, attribute, ..Default::default() });
        self
    }

    pub fn bools(mut self, name: &str, shape: &[i64], bits: &[i32]) -> Self {
        let (name, dims, data_type) = (name.into(), shape.to_vec(), DataType::Bool as i32);
        let int32_data = bits.to_vec();
        self.0.initializer.push(TensorProto { name, dims, data_type, int32_data, ..Default::default() });
        self
    }

    /// A node called after its output.
    pub fn node(
        mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        let input = inputs.iter().map(|i| i.to_string()).collect();
        let (op_type, name, output) = (operator.into(), output.into(), vec![output.into()]);
        self.0.node.push(NodeProto { op_type, name, input, output, attribute, ..Default::default() });
        self
    }

    /// A function without attributes: of the input, and in the table of the layer before it.
    pub fn function(operator: &str) {
        Self::new(&[1, 3, 7]).node(operator, &["x"], "y", vec![]).check("y");
        let onnx = Self::new(&[1, 7]).noise("w", &[7, 5], 1.0).node("MatMul", &["x", "w"], "a", vec![]);
        let model = onnx.node(operator, &["a"], "b", vec![]).node("Relu", &["b"], "y", vec![]).check("y");
        assert_eq!(model.graph.nodes.len(), 3, "the layer's table holds it");
    }

    /// A function without attributes of numbers from a half on, in the table of a node and in a node of its own.
    pub fn positive(operator: &str) {
        // Noise is at least −2, so x + 2.5 is at least 0.5.
        let base =
            || Self::new(&[1, 3, 7]).floats("c", &[1], vec![2.5]).node("Add", &["x", "c"], "a", vec![]);
        base().node(operator, &["a"], "y", vec![]).check("y");
        let other = base().node("Relu", &["a"], "b", vec![]).node(operator, &["b"], "y", vec![]).check("y");
        assert_eq!(other.graph.nodes.len(), 3);
    }

    pub fn proto(mut self, output: &str) -> ModelProto {
        self.0.output = vec![ValueInfoProto { name: output.into(), ..Default::default() }];
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
        ModelProto { ir_version: 8, opset_import, graph: Some(self.0), ..Default::default() }
    }

    pub fn import(self, output: &str) -> Result<FloatModel, ImportError> {
        import_proto(&self.proto(output))
    }

    /// Imports the model with the given output, quantises it finely, and compares what both models say.
    pub fn check(self, output: &str) -> FloatModel {
        self.check_on(output, |record| record)
    }

    /// As [`Self::check`], the values of each record from `first` on being 0 or 1, not all 0.
    pub fn check_masks(self, output: &str, first: usize) -> FloatModel {
        self.check_on(output, |mut record| {
            record.iter_mut().skip(first).for_each(|v| *v = if *v > 0.0 { 1.0 } else { 0.0 });
            record[first] = 1.0;
            record
        })
    }

    /// As [`Self::check`], of records of noise that are changed first.
    pub fn check_on(self, output: &str, change: impl Fn(Vec<f32>) -> Vec<f32>) -> FloatModel {
        let model = self.import(output).unwrap();
        let records: Vec<_> = (0..20).map(|seed| change(noise(seed, model.record_len(), 2.0))).collect();
        let options = QuantiseOptions {
            activation_bits: 12,
            layer_bits: Default::default(),
            per_token: Default::default(),
            calibration: Calibration::MinMax,
            shift: Some(13),
            q_bits: Some(16),
            q_bits_max: 16,
            weight_bits_max: 30,
            margin: None,
        };
        let (graph, weights, report) = quantise(&model, &records, &options).unwrap();
        let output_len = model.run(&records[0]).unwrap().output.len();
        assert_eq!(graph.output.len(), output_len);
        let measured = measure_layers(&model, &graph, &weights, &report.nodes, &records, None);
        let (accuracy, layers) = measured.unwrap();
        let (error, outputs) = (accuracy.comparison.relative_error(), accuracy.comparison.output_squares);
        assert!(outputs > 0.0, "a model that gives only zeros shows nothing");
        assert!(error < 0.005, "relative error {error}");
        for layer in layers {
            // Elements that were compared in the wrong order would have an error near 1.
            assert!(layer.relative_error().is_none_or(|error| error < 0.02), "{layer:?}");
        }
        model
    }

    /// The reasons why the model is not supported.
    pub fn unsupported(self, output: &str) -> Vec<String> {
        match self.import(output) {
            Err(ImportError::Unsupported { operators }) => {
                operators.iter().map(ToString::to_string).collect()
            }
            other => panic!("expected unsupported operators, got {other:?}"),
        }
    }

    /// The text of the error of a model that breaks the rules.
    pub fn malformed(self, output: &str) -> String {
        match self.import(output) {
            Err(error @ ImportError::MalformedNode { .. }) => error.to_string(),
            other => panic!("expected a malformed node, got {other:?}"),
        }
    }
}

pub fn noise(seed: u64, len: usize, magnitude: f32) -> Vec<f32> {
    let mut noise = Noise(seed.wrapping_mul(77) + 1);
    noise.next(1);
    (0..len).map(|_| noise.next(1000) as f32 * magnitude / 1000.0).collect()
}

pub fn value_info(name: &str, element: DataType, shape: &[i64]) -> ValueInfoProto {
    let dim = |size: &i64| Dimension {
        value: Some(match size {
            -1 => dimension::Value::DimParam("n".into()),
            size => dimension::Value::DimValue(*size),
        }),
        ..Default::default()
    };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: element as i32, shape };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value, ..Default::default() }),
        ..Default::default()
    }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let (name, ints) = (name.into(), ints.to_vec());
    AttributeProto { name, ints, r#type: AttributeType::Ints as i32, ..Default::default() }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: AttributeType::Int as i32, ..Default::default() }
}

pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: AttributeType::Float as i32, ..Default::default() }
}

pub fn text(name: &str, s: &str) -> AttributeProto {
    let s = s.as_bytes().to_vec();
    AttributeProto { name: name.into(), s, r#type: AttributeType::String as i32, ..Default::default() }
}
