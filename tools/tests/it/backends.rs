//! One proof, whatever made it; and what the circuit proves is what the interpreter computes.
