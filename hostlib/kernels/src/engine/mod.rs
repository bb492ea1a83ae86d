//! The engine: owns the devices, one worker thread each, and places the tasks of graphs on them.

mod run;
mod service;
mod worker;

use std::sync::{Arc, Mutex};

use ark_bn254::{Fr, G1Affine};
use ark_ec::AffineRepr;

use crate::device::Device;
use crate::error::KernelFailure;
use crate::graph::{Graph, PendingPoint, PendingScalars};
use crate::report::Report;
use crate::vector::lock;

use worker::Worker;

/// Owns devices and their worker threads.
///
/// A task goes to a device that already holds its inputs, else to the least loaded one. A device that cannot run a task
/// is passed over (`Unsupported`); a device that fails is quarantined and what it held is made again elsewhere from its
/// recipe (`DeviceFailed`); a broken invariant stops the run. Several threads may run graphs at once. Dropping the engine
/// stops and joins its threads and frees every vector on its devices.
pub struct Engine {
    workers: Vec<Worker>,
}

impl Engine {
    /// An engine whose devices all take part equally.
    ///
    /// # Errors
    /// `InvariantViolation` without a device; `DeviceFailed` when a thread cannot be started.
    pub fn new(devices: Vec<Box<dyn Device>>) -> Result<Engine, KernelFailure> {
        Engine::with_standby(devices, Vec::new())
    }

    /// An engine whose `standby` devices run only what no other device supports, or what is left when the others have
    /// failed.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with_standby(
        devices: Vec<Box<dyn Device>>,
        standby: Vec<Box<dyn Device>>,
    ) -> Result<Engine, KernelFailure> {
        let active = devices.len();
        let workers = devices
            .into_iter()
            .chain(standby)
            .enumerate()
            .map(|(index, device)| Worker::start(device, index >= active))
            .collect::<Result<Vec<_>, _>>()?;
        if workers.is_empty() {
            return Err(KernelFailure::InvariantViolation {
                kernel: "engine",
                detail: "expected at least one device, got none".into(),
            });
        }
        Ok(Engine { workers })
    }

    /// Runs a graph to its end.
    ///
    /// # Errors
    /// `Unsupported` when no device can run one of its kernels, `DeviceFailed` when no device is left,
    /// `InvariantViolation` for a misshapen graph, a broken promise or a bug. Vectors that were made before the error
    /// stay usable.
    pub fn run(&self, graph: Graph) -> Result<Outcome, KernelFailure> {
        run::Run::new(&self.workers, graph)?.finish()
    }

    /// Whether another device may take over when one fails.
    pub fn has_several_devices(&self) -> bool {
        self.workers.len() > 1
    }

    /// Totals since the engine was made.
    pub fn report(&self) -> Report {
        Report { devices: self.workers.iter().map(Worker::report).collect() }
    }
}

/// The points and scalars that a graph gave.
#[derive(Debug)]
pub struct Outcome {
    results: Vec<NodeResult>,
}

/// What came back to the host from one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeResult {
    point: Option<G1Affine>,
    scalars: Vec<Fr>,
}

impl Outcome {
    /// The commitment. `pending` must come from the graph that gave this outcome; otherwise infinity.
    pub fn point(&self, pending: PendingPoint) -> G1Affine {
        let point = self.results.get(pending.0).and_then(|result| result.point);
        debug_assert!(point.is_some(), "a pending point belongs to one graph");
        point.unwrap_or_else(G1Affine::zero)
    }

    /// As [`scalars`](Outcome::scalars), taking them out: they may be secret, and the taker can wipe them.
    pub fn take_scalars(&mut self, pending: PendingScalars) -> Vec<Fr> {
        self.results.get_mut(pending.0).map(|result| std::mem::take(&mut result.scalars)).unwrap_or_default()
    }

    /// The scalars, in the order of the points or rows asked for. `pending` must come from the graph that gave this
    /// outcome; otherwise none.
    pub fn scalars(&self, pending: PendingScalars) -> &[Fr] {
        self.results.get(pending.0).map_or(&[], |result| &result.scalars)
    }
}

/// A mutex shared between a worker and its engine.
type Shared<T> = Arc<Mutex<T>>;

fn read<T: Clone>(shared: &Shared<T>) -> T {
    lock(shared).clone()
}
