//! The vector engine: a register machine for pointwise programs, and the recurrences that do not fit it.
//!
//! ```text
//! memory ─► strip buffers ─► registers (a strip of rows each) ◄─► L lanes: multiply, add ─► strip buffers ─► memory
//!                                 constants ─┘                      └─► inversion unit
//! ```
//! A recurrence over a vector is cut into L·latency segments that run side by side, so that each operand is out of the
//! pipeline when it is needed; what the segments leave is put together by a tree.

pub mod divide;
pub mod evaluate;
pub mod invert;
pub mod lanes;
pub mod place;
pub mod powers;
pub mod program;
pub mod scan;

#[cfg(test)]
mod tests;
