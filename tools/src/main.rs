//! Kiln command line.

fn main() {}
