//! Turns an ONNX model into what proving needs: quantises it with calibration records, lays it out as a circuit, makes
//! the proving and the verifying key, and commits to the weights.
//!
//! ```console
//! $ kiln compile --model m.onnx --calibration c.json -o compiled
//! $ kiln compile --model m.onnx --calibration c.json -o compiled --input public --weights public --srs ppot.srs
//! ```
//! The directory that it makes holds, for everybody:
//!
//! ```text
//! model.vk         the verifying key, with the meaning of input and output: give it to verifiers
//! model.json       the model commitment and its id: publish it once, every proof names it
//! proving.key      the proving key
//! srs              the structured reference string
//! ```
//! and for the owner alone (mode 0600):
//!
//! ```text
//! model.kiln       the integer graph and the weights
//! model.secret     the blinding of the model commitment
//! ```
//! The calibration file is JSON, `{"records": [[0.1, 0.2, …], …]}`: some dozens of typical inputs, each with as many
//! numbers as the model takes, in row-major order. They set the scales of the integers.
//!
//! Without `--srs` a reference string of the right size is generated locally. Whoever runs that command could forge
//! proofs, so such a string is INSECURE, every verifier will say so, and it is for tests only.
