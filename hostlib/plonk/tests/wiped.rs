//! Secrets do not outlive their use: whatever memory is given back while a proof is made is searched for them.
//!
//! An allocator looks into every block that is freed. What must not be there any more: the values of a hidden column, and
//! the blinding of a committed group.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "proofs/sample.rs"]
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
mod sample;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ark_bn254::Fr;
use ark_ff::PrimeField;
use kiln_plonk::{ColumnValues, CommittedSecret, Randomness, Witness, WitnessError, commit_group, verify};
use sample::{Sample, Setting};

struct Searching;

static SEARCH: AtomicBool = AtomicBool::new(false);
static FOUND: AtomicUsize = AtomicUsize::new(0);
/// What is searched for, as it lies in memory.
static NEEDLES: RwLock<Vec<[u8; 32]>> = RwLock::new(Vec::new());

std::thread_local! {
    /// The search itself frees nothing that counts.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

#[global_allocator]
static ALLOCATOR: Searching = Searching;

// SAFETY: every call goes to the system's allocator as it came; a block is only read before it is given back.
unsafe impl GlobalAlloc for Searching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`. Zeros, so that a block that is freed unwritten can be read.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if SEARCH.load(Ordering::SeqCst) && layout.size() >= 32 && !BUSY.replace(true) {
            // SAFETY: the block is allocated, of this size, and all of it was written at least once, by `alloc_zeroed`.
            let content = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            if let Ok(needles) = NEEDLES.try_read() {
                // Scalars lie at multiples of eight bytes.
                let holds = |needle: &[u8; 32]| content.windows(32).step_by(8).any(|window| window == needle);
                if needles.iter().any(holds) {
                    FOUND.fetch_add(1, Ordering::SeqCst);
                    eprintln!(
                        "{} bytes with a secret, freed by\n{}",
                        layout.size(),
                        Backtrace::force_capture()
                    );
                }
            }
            BUSY.set(false);
        }
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(block, layout) };
    }
}

/// How many freed blocks held one of these while something ran.
fn leaks(needles: &[[u8; 32]], run: impl FnOnce()) -> usize {
    NEEDLES.write().unwrap().extend_from_slice(needles);
    FOUND.store(0, Ordering::SeqCst);
    SEARCH.store(true, Ordering::SeqCst);
    run();
    SEARCH.store(false, Ordering::SeqCst);
    NEEDLES.write().unwrap().clear();
    FOUND.load(Ordering::SeqCst)
}

fn in_memory(scalar: Fr) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (bytes, limb) in bytes.chunks_exact_mut(8).zip(scalar.0.0) {
        bytes.copy_from_slice(&limb.to_ne_bytes());
    }
    bytes
}

/// A scalar like no other.
fn secret(number: u64) -> Fr {
    Fr::from_be_bytes_mod_order(&[0x5a; 40]) * Fr::from(number + 3)
}

/// The sample with secret edges, which are linear and may be anything, in scalars that are made anew for each phase.
struct Secret<'a>(&'a Sample);

impl Witness for Secret<'_> {
    fn phase(&self, phase: u8, challenges: &[Fr]) -> Result<Vec<ColumnValues>, WitnessError> {
        let mut columns = self.0.phase(phase, challenges)?;
        if phase == 0 {
            columns[3] = ColumnValues::full((0..8).map(secret).collect());
        } else {
            // The chain over weights and edges: what the sample's small edges left out is added.
            let mut values = columns[1].to_full();
            let inverse = ark_ff::Field::inverse(&challenges[0]).unwrap();
            let mut difference = Fr::from(0);
            for (row, value) in values.iter_mut().enumerate() {
                difference = difference * inverse + secret(row as u64) - Fr::from(self.0.edges[row]);
                *value += difference;
            }
            columns[1] = ColumnValues::full(values);
        }
        Ok(columns)
    }
}

#[test]
fn freed_memory_holds_neither_witness_nor_blinding() {
    let mut setting = Setting::new(Sample::new(3, 4));
    let values: Vec<[u8; 32]> = (0..8).map(|row| in_memory(secret(row))).collect();
    let blinding: Vec<[u8; 32]> = {
        let mut file = Vec::new();
        setting.secret[0].write(&mut file).unwrap();
        let end = file.len() - 32;
        let words = file[end - 3 * 32..end].as_chunks::<32>().0;
        words.iter().map(|word| in_memory(Fr::from_be_bytes_mod_order(word))).collect()
    };

    // A vector that is dropped as it is would be noticed.
    assert_eq!(leaks(&values, || drop(std::hint::black_box(vec![secret(0), secret(1)]))), 1);

    let mut proof = Vec::new();
    let found = leaks(&[values, blinding.clone()].concat(), || {
        proof = setting.prove_with(&setting.engine, &Secret(&setting.sample), 1).unwrap();
    });
    assert_eq!(verify(&setting.vk, &setting.statement, &proof), Ok(()));
    assert_eq!(found, 0, "freed blocks hold witness or blinding");

    let found = leaks(&blinding, || {
        let mut file = Vec::with_capacity(1 << 16);
        setting.secret[0].write(&mut file).unwrap();
        let again = CommittedSecret::read(file.as_slice()).unwrap();
        drop((again, std::mem::take(&mut setting.secret)));
    });
    assert_eq!(found, 0, "freed blocks hold the secret half of a group");

    let weights = vec![ColumnValues::full((0..8).map(secret).collect())];
    let needles: Vec<[u8; 32]> = (0..8).map(|row| in_memory(secret(row))).collect();
    let found = leaks(&needles, || {
        let mut rng = Randomness::insecure_from_seed([1; 32]);
        drop(commit_group(&setting.engine, &setting.srs, 3, "model", weights, true, &mut rng).unwrap());
    });
    assert_eq!(found, 0, "freed blocks hold committed values");
}
