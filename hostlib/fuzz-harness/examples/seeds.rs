//! Writes the inputs that fuzzing begins with: `cargo run --release -p kiln-fuzz-harness --example seeds -- fuzz/corpus`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool for developers")]

use std::fs;
use std::path::PathBuf;

use kiln_fuzz_harness::TARGETS;

fn main() {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("the folder to write to"));
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), seed).unwrap();
        }
    }
}
