//! Memory as a promise: what a proof takes is told ahead, and every way to take less gives the same proof.
//!
//! These tests measure the resident memory of their own process, so they run one after another.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod wide;

use std::fs;
use std::sync::{Mutex, PoisonError};

use kiln_kernels::{Engine, cpu};
use kiln_plonk::{
    Holding, MemoryPlan, ProveError, ProvingKey, Randomness, Silent, Srs, Statement, keygen, prove_within,
    verify,
};

use wide::Wide;

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::new(());

/// A line of `/proc/self/status`, in bytes.
fn status_bytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// Forgets the peak so far; false where the system does not let us.
fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn statement() -> Statement {
    Statement { public_inputs: Vec::new(), committed: Vec::new() }
}

/// A circuit with keys and strings in files, as `kiln prove` finds them.
struct Setting {
    wide: Wide,
    engine: Engine,
    pk: ProvingKey,
    srs: Srs,
    folder: tempfile::TempDir,
}

impl Setting {
    fn new(k: u32) -> Self {
        let (wide, folder) = (Wide::new(k), tempfile::tempdir().unwrap());
        let engine = Engine::new(vec![cpu::device()]).unwrap();
        let (srs_path, pk_path) = (folder.path().join("srs"), folder.path().join("proving.key"));
        let srs = Srs::insecure_local(k, [9; 32]).unwrap();
        srs.write_to(&srs_path).unwrap();
        let (pk, _) = keygen(&engine, &srs, wide.circuit(), wide.fixed()).unwrap();
        pk.write(&engine, fs::File::create(&pk_path).unwrap()).unwrap();
        drop((pk, srs));
        let (pk, srs) = (ProvingKey::open(&pk_path).unwrap(), Srs::open(&srs_path).unwrap());
        Self { wide, engine, pk, srs, folder }
    }

    fn options(&self) -> Vec<MemoryPlan> {
        let directory = Some(self.folder.path());
        MemoryPlan::options(&self.pk, &self.srs, &self.wide, status_bytes("VmRSS"), directory).unwrap()
    }

    /// The proof, and the peak while it was made \[bytes\], if the system tells.
    fn prove(&self, plan: &MemoryPlan) -> (Vec<u8>, Option<u64>) {
        let is_reset = reset_peak();
        let Self { wide, engine, pk, srs, .. } = self;
        let rng = Randomness::insecure_from_seed([5; 32]);
        let (proof, _) = prove_within(engine, pk, srs, &statement(), &[], wide, rng, &Silent, plan).unwrap();
        verify(pk.verifying_key(), &statement(), &proof).unwrap();
        (proof, is_reset.then(|| status_bytes("VmHWM")))
    }
}

#[test]
fn every_way_to_use_memory_keeps_its_estimate_and_gives_the_same_proof() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let setting = Setting::new(14);
    let options = setting.options();
    for holding in [Holding::Memory, Holding::Disk, Holding::Rows] {
        assert!(options.iter().any(|plan| plan.holding() == holding && plan.slices() == 4));
    }
    let (expected, _) = setting.prove(&MemoryPlan::default());
    // The allocator keeps some of what a proof gives back, so what is in use is asked for before each.
    for plan in (0..options.len()).filter_map(|at| setting.options().into_iter().nth(at)) {
        if ![1, 2, 8].contains(&plan.slices()) {
            continue;
        }
        let (proof, peak) = setting.prove(&plan);
        assert!(proof == expected, "{plan}");
        println!("{plan}: estimated {}, measured {peak:?}", plan.peak_bytes());
        assert!(peak.is_none_or(|peak| peak <= plan.peak_bytes()), "{plan}");
        assert_eq!(plan.disk_bytes() > 0, plan.holding() == Holding::Disk);
    }
}

#[test]
fn a_bound_is_met_or_refused_with_the_smallest_that_can_be() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let setting = Setting::new(12);
    let options = setting.options();
    let smallest = options.iter().map(MemoryPlan::peak_bytes).min().unwrap();
    let largest = options.iter().map(MemoryPlan::peak_bytes).max().unwrap();
    assert_eq!(MemoryPlan::choose(&options, smallest).unwrap().peak_bytes(), smallest);
    assert_eq!(MemoryPlan::choose(&options, largest).unwrap().holding(), Holding::Memory);
    let refused = MemoryPlan::choose(&options, smallest - 1).unwrap_err();
    assert!(
        matches!(refused, ProveError::Memory { expected, got } if (expected, got) == (smallest, smallest - 1))
    );
    // Without a directory, nothing goes to disk.
    let in_memory = MemoryPlan::options(&setting.pk, &setting.srs, &setting.wide, 0, None).unwrap();
    assert!(in_memory.iter().all(|plan| plan.holding() != Holding::Disk && plan.disk_bytes() == 0));
}

#[test]
fn a_disk_that_fails_is_an_error_of_its_own() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let setting = Setting::new(8);
    let missing = setting.folder.path().join("missing");
    let options = MemoryPlan::options(&setting.pk, &setting.srs, &setting.wide, 0, Some(&missing)).unwrap();
    let plan = options.iter().find(|plan| plan.holding() == Holding::Disk).unwrap();
    let Setting { wide, engine, pk, srs, .. } = &setting;
    let rng = Randomness::insecure_from_seed([5; 32]);
    let result = prove_within(engine, pk, srs, &statement(), &[], wide, rng, &Silent, plan);
    assert!(matches!(result, Err(ProveError::Spill(_))));
}

/// Minutes of work: `cargo test --release -p kiln-plonk --test memory -- --ignored --nocapture`, with 8 GiB free.
#[test]
#[ignore = "takes minutes; .ci/run runs it where there is memory for it"]
fn a_million_rows_by_32_columns_are_proven_within_6_gib() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    const BOUND: u64 = 6 << 30;
    let setting = Setting::new(20);
    let options = setting.options();
    for plan in &options {
        println!("{plan}: {} MiB", plan.peak_bytes() >> 20);
    }
    let plan = MemoryPlan::choose(&options, BOUND).unwrap();
    let (_, peak) = setting.prove(&plan);
    let peak = peak.expect("this test needs to know the peak of its memory");
    println!("{plan}: estimated {} MiB, measured {} MiB", plan.peak_bytes() >> 20, peak >> 20);
    assert!(peak <= plan.peak_bytes() && plan.peak_bytes() <= BOUND);
}
