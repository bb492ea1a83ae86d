//! Makes a structured reference string on this machine, for circuits of up to 2^K rows.
//!
//! ```console
//! $ kiln setup --rows-log2 16 -o test.srs
//! ```
//! INSECURE, and marked so for ever: whoever makes such a string could keep its secret and forge proofs with it. It is
//! for tests and demonstrations. Proofs that others rely on need the string of a public ceremony.
