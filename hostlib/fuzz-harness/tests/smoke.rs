//! Every target for a moment: its seeds, and changes to them drawn from a fixed seed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_fuzz_harness::{TARGETS, Target};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Inputs beside the seeds.
const INPUTS: usize = 1500;
const EDITS_MAX: u64 = 4;

fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    usize::try_from(rng.next_u64() % bound as u64).unwrap()
}

/// A seed's selector with a random script, or a seed with a few other bytes.
fn input(target: &Target, seeds: &[Vec<u8>], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut input = seeds[below(rng, seeds.len())].clone();
    if rng.next_u32().is_multiple_of(4) {
        for _ in 0..=rng.next_u64() % EDITS_MAX {
            let place = below(rng, input.len());
            input[place] = rng.next_u32().to_be_bytes()[0];
        }
        return input;
    }
    input.truncate(1);
    for _ in 0..=rng.next_u64() % EDITS_MAX {
        let mut edit = [0; 8];
        rng.fill_bytes(&mut edit);
        input.extend(edit);
    }
    assert!(!target.name.is_empty());
    input
}

fn smoke(number: usize) {
    let target = &TARGETS[number];
    let seeds = (target.seeds)();
    seeds.iter().for_each(|seed| (target.run)(seed));
    let mut rng = ChaCha20Rng::from_seed([11; 32]);
    for _ in 0..INPUTS {
        (target.run)(&input(target, &seeds, &mut rng));
    }
}

/// One test for all: memory is counted for the whole process.
#[test]
fn hostile_bytes_break_no_promise() {
    (0..TARGETS.len()).for_each(smoke);
}
