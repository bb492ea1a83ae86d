//! The engine: placement, failure, replay, release.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ark_bn254::{Fr, G1Affine};
use ark_ff::{Field, One};
use kiln_kernels::{
    Bases, BasesId, BufferId, Completion, Device, DeviceInfo, Engine, Graph, HostData, Kernel, KernelFailure,
    LoadedBases, Program, ProgramBuilder, ScalarBound, ScanKind, Submission, Task, Ticket, cpu, reference,
};

use crate::{cpu_engine, download, points, random_values, upload};

/// What a fake device does wrong.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    Nothing,
    /// Fails every call from this submission on.
    FailsAtSubmission(usize),
    /// Accepts, then fails every call from this wait on.
    FailsAtWait(usize),
    Unsupported(&'static str),
    ViolatesAt(usize),
    PanicsAt(usize),
    /// Has room for this many vectors.
    HoldsAtMost(usize),
}

/// A device that works until its fault, and counts the buffers it holds.
pub struct Faulty {
    inner: Box<dyn Device>,
    info: DeviceInfo,
    fault: Fault,
    submissions: usize,
    waits: usize,
    held: Arc<AtomicUsize>,
}

impl Faulty {
    pub fn boxed(name: &str, fault: Fault) -> (Box<dyn Device>, Arc<AtomicUsize>) {
        let inner = reference::device();
        let info = DeviceInfo { name: name.into(), ..inner.info().clone() };
        let held = Arc::<AtomicUsize>::default();
        (Box::new(Faulty { inner, info, fault, submissions: 0, waits: 0, held: held.clone() }), held)
    }

    fn failed(&self, kernel: &'static str) -> KernelFailure {
        KernelFailure::DeviceFailed { device: self.info.name.clone(), kernel, source: "unplugged".into() }
    }
}

impl Device for Faulty {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }
    fn load_bases(&mut self, bases: &Bases) -> Result<LoadedBases, KernelFailure> {
        self.inner.load_bases(bases)
    }
    fn release_bases(&mut self, bases: BasesId) {
        self.inner.release_bases(bases);
    }
    fn submit(&mut self, task: &Task<'_>) -> Result<Submission, KernelFailure> {
        let kernel = task.kernel.name();
        let at = self.submissions;
        self.submissions += 1;
        match self.fault {
            Fault::FailsAtSubmission(from) if at >= from => return Err(self.failed(kernel)),
            Fault::Unsupported(name) if name == kernel => {
                let device = self.info.name.clone();
                return Err(KernelFailure::Unsupported { device, kernel, reason: "no engine for it".into() });
            }
            Fault::ViolatesAt(from) if at >= from => {
                return Err(KernelFailure::InvariantViolation { kernel, detail: "a bug".into() });
            }
            Fault::HoldsAtMost(room)
                if task.kernel.name() != "download" && self.held.load(Ordering::SeqCst) >= room =>
            {
                let device = self.info.name.clone();
                return Err(KernelFailure::Unsupported { device, kernel, reason: "no memory left".into() });
            }
            Fault::PanicsAt(from) if at >= from => panic!("a bug in a backend"),
            _ => {}
        }
        let submission = self.inner.submit(task)?;
        self.held.fetch_add(submission.outputs.len(), Ordering::SeqCst);
        Ok(submission)
    }
    fn wait(&mut self, ticket: Ticket) -> Result<Completion, KernelFailure> {
        let at = self.waits;
        self.waits += 1;
        match self.fault {
            Fault::FailsAtWait(from) if at >= from => Err(self.failed("wait")),
            _ => self.inner.wait(ticket),
        }
    }
    fn release(&mut self, buffer: BufferId) {
        self.held.fetch_sub(1, Ordering::SeqCst);
        self.inner.release(buffer);
    }
}

pub fn square_plus(rotation: i32) -> Arc<Program> {
    let mut builder = ProgramBuilder::new();
    let (a, b) = (builder.input(0, 0), builder.input(1, rotation));
    let square = builder.mul(a, a);
    let sum = builder.add(square, b);
    builder.output(sum);
    Arc::new(builder.finish().unwrap())
}

/// A graph that uses most kernels and reads vectors late; all that comes out of it.
fn work(engine: &Engine) -> Result<(Vec<Fr>, G1Affine), KernelFailure> {
    let bases = Bases::new(Arc::new(points(16)));
    let mut graph = Graph::new();
    let a = upload(&mut graph, &random_values(20, 16));
    let b = graph.upload(HostData::small((-8..8).collect()));
    let coefficients = graph.interpolate_coset(&[&a, &b], Fr::one());
    let coset = graph.evaluate_on_coset(&[&coefficients[0], &coefficients[1]], 5, Fr::from(5));
    let mixed = graph.pointwise(square_plus(-1), &[&coset[0], &coset[1]], 32).remove(0);
    let inverse = graph.invert(&mixed);
    let sum = graph.scan(&inverse, ScanKind::Sum);
    let quotient = graph.divide_linear(&sum, Fr::from(3));
    let placed = graph.place(&[(&quotient, 1)], 40);
    let values = graph.evaluate(&placed, &[Fr::from(11)]);
    let commitment = graph.msm(&bases, 0, &a, ScalarBound::Full);
    let first = engine.run(graph)?;

    // A second graph reads what the first one left on the devices.
    let mut graph = Graph::new();
    let again = graph.pointwise(square_plus(2), &[&sum, &coset[1]], 32).remove(0);
    let slice = graph.slice(&again, 30, 4);
    let slice = download(&mut graph, &slice);
    let second = engine.run(graph)?;
    let scalars = [first.scalars(values), second.scalars(slice)].concat();
    Ok((scalars, first.point(commitment)))
}

fn expected() -> (Vec<Fr>, G1Affine) {
    work(&cpu_engine()).unwrap()
}

#[test]
fn a_device_that_fails_anywhere_is_quarantined_and_the_result_is_right() {
    let expected = expected();
    for at in 0..14 {
        for fault in [Fault::FailsAtSubmission(at), Fault::FailsAtWait(at)] {
            for standby in [false, true] {
                let (faulty, _) = Faulty::boxed("faulty", fault);
                let engine = if standby {
                    Engine::with_standby(vec![faulty], vec![cpu::device()])
                } else {
                    Engine::new(vec![faulty, cpu::device()])
                }
                .unwrap();
                assert_eq!(work(&engine).unwrap(), expected, "{at}");
                let report = engine.report();
                if standby && at < 12 {
                    let reason = report.devices[0].quarantined.clone().unwrap();
                    assert!(reason.contains("faulty failed") && reason.contains("unplugged"), "{reason}");
                }
                assert_eq!(report.devices[1].quarantined, None);
            }
        }
    }
}

#[test]
fn when_every_device_has_failed_the_run_says_so() {
    let (one, _) = Faulty::boxed("one", Fault::FailsAtSubmission(3));
    let (two, _) = Faulty::boxed("two", Fault::FailsAtWait(2));
    let engine = Engine::new(vec![one, two]).unwrap();
    // Also when it begins with none.
    for _ in 0..2 {
        assert!(matches!(work(&engine), Err(KernelFailure::DeviceFailed { .. })));
    }
}

#[test]
fn an_unsupported_kernel_is_placed_elsewhere() {
    let expected = expected();
    for kernel in ["upload", "interpolate_coset", "pointwise", "scan", "msm", "evaluate", "place"] {
        let (picky, _) = Faulty::boxed("picky", Fault::Unsupported(kernel));
        let engine = Engine::with_standby(vec![picky], vec![cpu::device()]).unwrap();
        assert_eq!(work(&engine).unwrap(), expected, "{kernel}");
        let report = engine.report();
        assert_eq!(report.devices[0].quarantined, None);
        assert!(report.devices[1].kernels[kernel].calls > 0);
        assert!(!report.devices[0].kernels.contains_key(kernel));
    }
}

#[test]
fn a_kernel_that_no_device_supports_is_an_error() {
    let (one, _) = Faulty::boxed("one", Fault::Unsupported("scan"));
    let (two, _) = Faulty::boxed("two", Fault::Unsupported("scan"));
    let engine = Engine::new(vec![one, two]).unwrap();
    assert!(matches!(work(&engine), Err(KernelFailure::Unsupported { kernel: "scan", .. })));
}

#[test]
fn a_violated_invariant_stops_the_run_and_is_not_replayed() {
    for at in [0, 4, 7] {
        let (buggy, _) = Faulty::boxed("buggy", Fault::ViolatesAt(at));
        let engine = Engine::with_standby(vec![buggy], vec![cpu::device()]).unwrap();
        assert!(matches!(work(&engine), Err(KernelFailure::InvariantViolation { .. })));
        assert!(engine.report().devices[1].kernels.is_empty());
    }
}

#[test]
fn a_panic_in_a_backend_is_a_violation_and_no_hang() {
    let (buggy, _) = Faulty::boxed("buggy", Fault::PanicsAt(2));
    let engine = Engine::new(vec![buggy]).unwrap();
    assert!(matches!(work(&engine), Err(KernelFailure::InvariantViolation { .. })));
}

#[test]
fn vectors_stay_usable_after_a_run_that_stopped() {
    let engine = cpu_engine();
    let values = random_values(21, 8);
    let mut graph = Graph::new();
    let v = upload(&mut graph, &values);
    let inverse = graph.invert(&v);
    graph.msm(&Bases::new(Arc::new(points(8))), 0, &v, ScalarBound::Signed { bits: 8 });
    let unreached = graph.scan(&inverse, ScanKind::Product);
    assert!(engine.run(graph).is_err());
    let mut graph = Graph::new();
    let inverses = download(&mut graph, &inverse);
    let products = download(&mut graph, &unreached);
    let outcome = engine.run(graph).unwrap();
    assert_eq!(outcome.scalars(inverses)[5], values[5].inverse().unwrap());
    assert_eq!(outcome.scalars(products)[1], values[0].inverse().unwrap());
}

#[test]
fn a_vector_of_another_engine_or_of_no_run_is_made_again() {
    let values = random_values(22, 8);
    let mut never_run = Graph::new();
    let v = upload(&mut never_run, &values);
    let scan = never_run.scan(&v, ScanKind::Sum);
    drop(never_run);
    for engine in [cpu_engine(), cpu_engine()] {
        let mut graph = Graph::new();
        let got = download(&mut graph, &scan);
        assert_eq!(engine.run(graph).unwrap().scalars(got)[2], values[0] + values[1]);
    }
}

#[test]
fn memory_goes_back_when_the_last_handle_drops() {
    for keep in [false, true] {
        let (device, held) = Faulty::boxed("counting", Fault::Nothing);
        let engine = Engine::new(vec![device]).unwrap();
        let mut graph = Graph::new();
        let a = upload(&mut graph, &random_values(23, 8));
        let b = graph.invert(&a);
        let c = graph.scan(&b, ScanKind::Sum);
        download(&mut graph, &c);
        let kept = keep.then(|| c.clone());
        drop((a, b, c));
        engine.run(graph).unwrap();
        // The thread deals with all releases before it ends.
        drop(engine);
        assert_eq!(held.load(Ordering::SeqCst), usize::from(keep));
        drop(kept);
    }
}

/// A device with room for a few vectors only.
#[test]
fn memory_is_given_back_before_a_task_is_sent_elsewhere() {
    for room in [2, 3, 8] {
        let (device, held) = Faulty::boxed("small", Fault::HoldsAtMost(room));
        let engine = Engine::with_standby(vec![device], vec![cpu::device()]).unwrap();
        let values = random_values(26, 4);
        let mut graph = Graph::new();
        let mut v = upload(&mut graph, &values);
        for _ in 0..40 {
            v = graph.invert(&v);
        }
        let out = download(&mut graph, &v);
        assert_eq!(engine.run(graph).unwrap().scalars(out), values);
        assert!(engine.report().devices[1].kernels.is_empty(), "{room}");
        assert!(held.load(Ordering::SeqCst) <= room);
    }
}

fn probe() -> Graph {
    let mut graph = Graph::new();
    let one = graph.powers(Fr::one(), Fr::one(), 1);
    download(&mut graph, &one);
    graph
}

#[test]
fn what_nobody_reads_is_not_run() {
    let engine = cpu_engine();
    let mut graph = Graph::new();
    let v = upload(&mut graph, &random_values(24, 8));
    drop(graph.invert(&v));
    engine.run(graph).unwrap();
    assert!(!engine.report().devices[0].kernels.contains_key("invert"));
}

#[test]
fn work_that_starts_from_nothing_is_shared_out() {
    let engine = Engine::new(vec![reference::device(), cpu::device()]).unwrap();
    let mut graph = Graph::new();
    let columns: Vec<_> = (0..6).map(|i| upload(&mut graph, &random_values(i, 64))).collect();
    let inverses: Vec<_> = columns.iter().map(|v| graph.invert(v)).collect();
    let pending: Vec<_> = inverses.iter().map(|v| download(&mut graph, v)).collect();
    let outcome = engine.run(graph).unwrap();
    for (i, pending) in pending.into_iter().enumerate() {
        assert_eq!(outcome.scalars(pending)[7], random_values(i as u8, 64)[7].inverse().unwrap());
    }
    let calls = |d: usize| engine.report().devices[d].kernels["invert"].calls;
    assert_eq!((calls(0), calls(1)), (3, 3));
}

#[test]
fn threads_run_graphs_on_one_engine_at_once() {
    let engine = Engine::new(vec![cpu::device(), cpu::device()]).unwrap();
    let expected = expected();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(work(&engine).unwrap(), expected));
        }
    });
}

#[test]
fn a_report_counts_calls_and_elements() {
    let engine = cpu_engine();
    let mut graph = Graph::new();
    let v = upload(&mut graph, &random_values(25, 100));
    let commitment = graph.msm(&Bases::new(Arc::new(points(100))), 0, &v, ScalarBound::Full);
    let outcome = engine.run(graph).unwrap();
    assert!(outcome.point(commitment).is_on_curve());
    let report = engine.report();
    let msm = &report.devices[0].kernels["msm"];
    assert_eq!((msm.calls, msm.elements, msm.cycles), (1, 100, None));
    assert!(msm.wall_ns > 0);
    assert_eq!(report.devices[0].kernels["load_bases"].elements, 100);
}

#[test]
fn a_kernel_is_named_as_the_report_names_it() {
    assert_eq!(Kernel::Invert.name(), "invert");
    assert_eq!(Kernel::Scan(ScanKind::Sum).name(), "scan");
}

#[test]
fn an_engine_needs_a_device() {
    assert!(matches!(Engine::new(vec![]), Err(KernelFailure::InvariantViolation { .. })));
}

#[test]
fn a_long_chain_of_recipes_drops_without_deep_recursion() {
    let engine = cpu_engine();
    let mut graph = Graph::new();
    let mut v = graph.powers(Fr::one(), Fr::one(), 1);
    for _ in 0..100_000 {
        v = graph.slice(&v, 0, 1);
    }
    drop(graph);
    drop(v);
    engine.run(probe()).unwrap();
}
