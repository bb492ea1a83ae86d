//! What a card adds to the laws: resident vectors, memory that runs out, cycles and bytes in the report.

use std::sync::Arc;

use ark_bn254::Fr;
use ark_ff::{FftField, One};
use kiln_abi::{Activity, Endpoint, HostMemory, Interrupts};
use kiln_kernels::{Bases, Engine, Graph, HostData, ProgramBuilder, ScalarBound, ScanKind, cpu};

use kiln_sim::{DEFAULT_PROFILE, Profile};

use crate::{bring_up, card_device, card_engine, download, points, random_values, upload};

#[test]
fn only_results_come_back_and_the_report_says_what_they_cost() {
    let n = 256;
    let engine = card_engine();
    let mut graph = Graph::new();
    let v = upload(&mut graph, &random_values(30, n));
    let c = graph.interpolate_coset(&[&v], Fr::one()).remove(0);
    let value = graph.evaluate(&c, &[Fr::GENERATOR]);
    let commitment = graph.msm(&Bases::new(Arc::new(points(n))), 0, &c, ScalarBound::Full);
    let outcome = engine.run(graph).unwrap();
    assert_eq!(outcome.scalars(value).len(), 1);
    assert!(outcome.point(commitment).is_on_curve());

    let device = engine.report().devices.remove(0);
    assert_eq!(device.info.kind, "card");
    assert!(device.info.clock_hz.is_some());
    for (kernel, to_device, to_host) in [
        ("load_bases", 64 * n, 0),
        ("upload", 32 * n, 0),
        ("interpolate_coset", 0, 0),
        ("msm", 0, 64),
        ("evaluate", 32, 32),
    ] {
        let totals = &device.kernels[kernel];
        assert!(totals.cycles.unwrap() > 0, "{kernel}");
        assert!(totals.stall_cycles.values().sum::<u64>() <= totals.cycles.unwrap(), "{kernel}");
        assert_eq!((totals.bytes_to_device, totals.bytes_to_host), (to_device as u64, to_host), "{kernel}");
    }
}

#[test]
fn a_card_and_the_processor_share_work_and_agree() {
    let engine = Engine::new(vec![card_device("first"), card_device("second"), cpu::device()]).unwrap();
    let columns: Vec<Vec<Fr>> = (0..6).map(|i| random_values(31 + i, 64)).collect();
    let run = |engine: &Engine| {
        let mut graph = Graph::new();
        let uploaded: Vec<_> = columns.iter().map(|c| upload(&mut graph, c)).collect();
        let mut all = Vec::new();
        for pair in uploaded.chunks(2) {
            all.extend(graph.evaluate_on_coset(&[&pair[0], &pair[1]], 7, Fr::GENERATOR));
        }
        let pending: Vec<_> = all.iter().map(|v| download(&mut graph, v)).collect();
        let outcome = engine.run(graph).unwrap();
        pending.into_iter().map(|p| outcome.scalars(p).to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(run(&engine), run(&Engine::new(vec![cpu::device()]).unwrap()));
}

#[test]
fn a_batch_with_more_commands_than_the_queue_holds_completes() {
    let engine = card_engine();
    let mut graph = Graph::new();
    let columns: Vec<_> = (0..150).map(|i| graph.upload(HostData::small(vec![i, 1]))).collect();
    let columns: Vec<_> = columns.iter().collect();
    let evaluations = graph.evaluate_on_coset(&columns, 0, Fr::from(10));
    let pending: Vec<_> = evaluations.iter().map(|v| download(&mut graph, v)).collect();
    let outcome = engine.run(graph).unwrap();
    for (i, pending) in pending.into_iter().enumerate() {
        assert_eq!(outcome.scalars(pending), [Fr::from(i as u64 + 10)]);
    }
}

#[test]
fn a_program_too_long_for_the_card_runs_elsewhere() {
    let mut builder = ProgramBuilder::new();
    let a = builder.input(0, 0);
    let mut sum = a;
    for _ in 0..70_000 {
        sum = builder.add(sum, a);
    }
    builder.output(sum);
    let program = Arc::new(builder.finish().unwrap());
    let engine = Engine::with_standby(vec![card_device("card")], vec![cpu::device()]).unwrap();
    let mut graph = Graph::new();
    let v = graph.upload(HostData::small(vec![1, 2]));
    let doubled = graph.scan(&v, ScanKind::Sum);
    let out = graph.pointwise(program, &[&doubled], 2).remove(0);
    let out = download(&mut graph, &out);
    let outcome = engine.run(graph).unwrap();
    assert_eq!(outcome.scalars(out), [0, 70_001].map(Fr::from));
    assert!(engine.report().devices[0].kernels.contains_key("scan"));
    assert!(engine.report().devices[1].kernels.contains_key("pointwise"));
}

/// A card that is pulled out of its slot after some register writes.
struct Pulled {
    inner: kiln_sim::Card,
    writes_left: usize,
}

impl Endpoint<Arc<dyn HostMemory>, Arc<dyn Interrupts>> for Pulled {
    fn attach(&mut self, memory: Arc<dyn HostMemory>, interrupts: Arc<dyn Interrupts>) {
        self.inner.attach(memory, interrupts);
    }
    fn read32(&mut self, bar: u8, offset: u64) -> u32 {
        if self.writes_left == 0 { u32::MAX } else { self.inner.read32(bar, offset) }
    }
    fn write32(&mut self, bar: u8, offset: u64, value: u32) {
        self.writes_left = self.writes_left.saturating_sub(1);
        if self.writes_left > 0 {
            self.inner.write32(bar, offset, value);
        }
    }
    fn advance(&mut self) -> Activity {
        if self.writes_left == 0 { Activity::Idle } else { self.inner.advance() }
    }
    fn reset(&mut self) {
        self.inner.reset();
    }
}

#[test]
fn a_card_that_is_pulled_out_is_quarantined_and_the_work_is_finished_elsewhere() {
    let work = |engine: &Engine| {
        let mut graph = Graph::new();
        let mut v = upload(&mut graph, &random_values(32, 64));
        for _ in 0..10 {
            let sum = graph.scan(&v, ScanKind::Sum);
            v = graph.invert(&sum);
        }
        let out = download(&mut graph, &v);
        engine.run(graph).unwrap().scalars(out).to_vec()
    };
    let expected = work(&Engine::new(vec![cpu::device()]).unwrap());
    // Bringing it up takes some writes, and each command at least one.
    for writes_left in [18, 26] {
        let inner = kiln_sim::Card::new(Profile::load(DEFAULT_PROFILE).unwrap());
        let card = bring_up("pulled", Box::new(Pulled { inner, writes_left }));
        let engine = Engine::with_standby(vec![card], vec![cpu::device()]).unwrap();
        assert_eq!(work(&engine), expected);
        let report = engine.report();
        let reason = report.devices[0].quarantined.clone().unwrap();
        assert!(reason.contains("pulled failed") && reason.contains("all ones"), "{reason}");
        assert!(report.devices[1].kernels.contains_key("invert"));
    }
}
