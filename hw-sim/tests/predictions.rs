//! The README's table of predicted times is what the engines say.
#![allow(clippy::unwrap_used)] // Helpers of tests.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use kiln_abi::io::ScanKind;
use kiln_sim::Profile;
use kiln_sim::msm::{MsmEngine, digits::FULL_BITS};
use kiln_sim::ntt::{Direction, NttEngine};
use kiln_sim::stats::{Cost, Cycles};
use kiln_sim::vector::lanes::Lanes;
use kiln_sim::vector::{invert, scan};

const README: &str = include_str!("../README.md");

/// Percent of the time that the engine worked, and the cause of most of the rest.
fn row(kernel: &str, log_length: u32, Cost { cycles, .. }: Cost) -> String {
    let Cycles { total, busy, stall_memory, stall_host, stall_hazard, idle } = cycles;
    let causes = [(stall_memory, "memory"), (stall_host, "host"), (stall_hazard, "pipeline"), (idle, "idle")];
    let cause = causes.iter().max_by_key(|(cycles, _)| *cycles).unwrap().1;
    let milliseconds = total as f64 / 250e3;
    format!(
        "| {kernel} | 2^{log_length} | {total} | {milliseconds:.3} ms | {} % | {cause} |",
        100 * busy / total
    )
}

#[test]
fn the_table_in_the_readme_is_up_to_date() {
    let profile = Profile::load("u55c").unwrap();
    let (msm, ntt, lanes) = (MsmEngine::new(&profile), NttEngine::new(&profile), Lanes::new(&profile));
    let mut rows = Vec::new();
    for log in [12, 16, 20] {
        rows.push(row("MSM, full width", log, msm.run_timing(1 << log, FULL_BITS, 1).cost));
        rows.push(row("MSM, 8 bits and sign", log, msm.run_timing(1 << log, 8, 1).cost));
        let transform = ntt.cost(1 << log, log, Direction::Forward, Fr::ONE.double()).unwrap();
        rows.push(row("NTT on a coset", log, transform));
        rows.push(row("batch inversion", log, invert::cost(&lanes, 1 << log)));
        rows.push(row("running sum", log, scan::cost(&lanes, 1 << log, ScanKind::Sum)));
    }
    let table = rows.join("\n");
    assert!(README.contains(&table), "put this into README.md:\n{table}");
}
