//! ONNX in, quantised integer graph, Plonk circuit and witness out.
