//! Proves what a compiled model answers on one record. Writes the proof, and the public values that it speaks about.
//!
//! ```console
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json --backend card:u55c --json
//! ```
//! The record is JSON, `{"record": [0.1, 0.2, …]}`: as many numbers as the model takes, in row-major order. Neither the
//! record nor the weights can be learnt from proof and public values, unless the model was compiled to make them public.
//!
//! A proof is verified before it is written. If it fails, nothing is written and the exit code is 3.
