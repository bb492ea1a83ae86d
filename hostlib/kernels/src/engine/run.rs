//! One graph's way through the engine: placing nodes, moving vectors, replaying what a failed device held.
//!
//! The one rule is demand: a node can go to a device when each of its inputs is there, or will be once the device has
//! done what it was sent before. An input that is on another device is fetched through the host; one that is nowhere is
//! made again from its recipe, which is how work survives a failed device.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::worker::{Answer, Job, JobFailure, Worker};
use super::{NodeResult, Outcome};
use crate::device::Completion;
use crate::error::KernelFailure;
use crate::graph::Graph;
use crate::host_data::HostData;
use crate::kernel::Kernel;
use crate::vector::{Recipe, Vector, VectorId};

/// What an answer belongs to.
enum Errand {
    /// A node of the graph, or a replayed one. Its outputs are held until it has run, so that they are not released
    /// before they are made.
    Node { node: usize, outputs: Vec<Option<Vector>> },
    /// A vector on its way to the host, to go on to `to`.
    Fetch { vector: Vector, to: usize },
    /// A vector on its way from the host, or made by its source recipe.
    Bring { vector: Vector },
}

/// An errand, where it is done, and how many elements it adds to the load there.
struct UnderWay {
    errand: Errand,
    worker: usize,
    elements: u64,
}

/// A node that has not run yet, or runs now.
struct PlannedNode {
    recipe: Arc<Recipe>,
    inputs: Vec<Vector>,
    /// Devices that said `Unsupported`, and why.
    unsupported: HashMap<usize, String>,
    /// Where it goes, once that is decided.
    target: Option<usize>,
    done: bool,
}

pub(super) struct Run<'e> {
    workers: &'e [Worker],
    nodes: Vec<PlannedNode>,
    /// How many of the nodes are the graph's own; replayed ones follow.
    own: usize,
    results: Vec<NodeResult>,
    /// Nodes not yet sent to a device.
    waiting: BTreeSet<usize>,
    /// The node that will make a vector.
    makers: HashMap<VectorId, usize>,
    /// Vectors being moved, and where to.
    moving: HashSet<(VectorId, usize)>,
    /// What is under way, by tag.
    errands: HashMap<usize, UnderWay>,
    next_tag: usize,
    /// Elements sent to each device and not yet answered.
    load: Vec<u64>,
    answers: Receiver<Answer>,
    answer: Sender<Answer>,
    cancelled: Arc<AtomicBool>,
}

impl Drop for Run<'_> {
    /// Workers skip what a run that ended early still has queued.
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl<'e> Run<'e> {
    pub(super) fn new(workers: &'e [Worker], mut graph: Graph) -> Result<Run<'e>, KernelFailure> {
        if let Some(fault) = graph.fault.take() {
            return Err(fault);
        }
        let (answer, answers) = unbounded();
        let mut run = Run {
            workers,
            own: graph.nodes.len(),
            results: vec![NodeResult::default(); graph.nodes.len()],
            nodes: Vec::with_capacity(graph.nodes.len()),
            waiting: BTreeSet::new(),
            makers: HashMap::new(),
            moving: HashSet::new(),
            errands: HashMap::new(),
            next_tag: 0,
            load: vec![0; workers.len()],
            answers,
            answer,
            cancelled: Arc::default(),
        };
        for node in graph.nodes {
            run.plan(node.recipe, node.inputs);
        }
        Ok(run)
    }

    fn plan(&mut self, recipe: Arc<Recipe>, inputs: Vec<Vector>) -> usize {
        let index = self.nodes.len();
        for vector in recipe.living().into_iter().flatten() {
            self.makers.insert(vector.id(), index);
        }
        self.nodes.push(PlannedNode {
            recipe,
            inputs,
            unsupported: HashMap::new(),
            target: None,
            done: false,
        });
        self.waiting.insert(index);
        index
    }

    pub(super) fn finish(mut self) -> Result<Outcome, KernelFailure> {
        loop {
            self.send_ready()?;
            if self.errands.is_empty() && self.waiting.is_empty() {
                let results = std::mem::take(&mut self.results);
                return Ok(Outcome { results });
            }
            if self.errands.is_empty() {
                return Err(stuck("expected a task in flight or ready, got neither"));
            }
            // This run keeps a sender itself, so the channel cannot close; workers answer every job.
            let answer = self.answers.recv().map_err(|_| stuck("the workers are gone"))?;
            self.take(answer)?;
        }
    }

    /// Sends every node whose inputs are in reach, in graph order, until nothing more can be sent.
    fn send_ready(&mut self) -> Result<(), KernelFailure> {
        // A pass may plan replays of nodes, which come later in order but must be sent first: pass again.
        let mut again = true;
        while again {
            let planned = self.nodes.len();
            let waiting: Vec<usize> = self.waiting.iter().copied().collect();
            for node in waiting {
                self.try_send(node)?;
            }
            again = self.nodes.len() > planned;
        }
        Ok(())
    }

    fn try_send(&mut self, node: usize) -> Result<(), KernelFailure> {
        let wanted = self.nodes[node].recipe.living();
        if self.nodes[node].recipe.output_count() > 0 && wanted.iter().all(Option::is_none) {
            // Nobody has a handle on what it would make.
            self.close(node);
            return Ok(());
        }
        let inputs = self.nodes[node].inputs.clone();
        if !self.all_exist(&inputs)? {
            return Ok(());
        }
        let to = self.target(node, &inputs)?;
        if !self.all_near(&inputs, to) {
            return Ok(());
        }
        self.waiting.remove(&node);
        let recipe = self.nodes[node].recipe.clone();
        let input_ids = inputs.iter().map(Vector::id).collect();
        let output_ids = wanted.iter().map(|v| v.as_ref().map(Vector::id)).collect();
        let errand = Errand::Node { node, outputs: wanted.clone() };
        self.send(errand, to, &recipe.kernel, input_ids, recipe.input_lens(), output_ids);
        for vector in wanted.iter().flatten() {
            vector.add_place(self.workers[to].key, &self.workers[to].releases);
        }
        Ok(())
    }

    /// Whether every vector is on some working device, or will be. Plans the replay of those that will not.
    fn all_exist(&mut self, vectors: &[Vector]) -> Result<bool, KernelFailure> {
        let mut all = true;
        for vector in vectors {
            if self.holders(vector).next().is_some() || vector.0.recipe().kernel.is_source() {
                continue;
            }
            all = false;
            let made = self.makers.get(&vector.id()).is_some_and(|&maker| !self.nodes[maker].done);
            if !made {
                let recipe = vector.0.recipe().clone();
                let inputs = recipe.inputs().ok_or_else(|| self.lost(&recipe))?;
                let inputs = inputs.iter().map(|operand| operand.revive()).collect();
                self.plan(recipe, inputs);
            }
        }
        Ok(all)
    }

    /// Whether every vector is on `to`, or will be when `to` has done what it was sent before. Starts moving those
    /// that will not.
    fn all_near(&mut self, vectors: &[Vector], to: usize) -> bool {
        let mut all = true;
        for vector in vectors {
            if self.holders(vector).any(|holder| holder == to) {
                continue;
            }
            let recipe = vector.0.recipe();
            if recipe.kernel.is_source() {
                self.bring(vector.clone(), to, &recipe.kernel.clone());
                continue;
            }
            all = false;
            if self.moving.contains(&(vector.id(), to)) {
                continue;
            }
            let from = self.holders(vector).next();
            if let Some(from) = from {
                self.moving.insert((vector.id(), to));
                let kernel = Kernel::Download { start: 0, len: vector.len() };
                let errand = Errand::Fetch { vector: vector.clone(), to };
                self.send(errand, from, &kernel, vec![vector.id()], vec![vector.len()], vec![]);
            }
        }
        all
    }

    /// Makes a vector on a device from host data or from its source recipe.
    fn bring(&mut self, vector: Vector, to: usize, kernel: &Kernel) {
        let id = vector.id();
        vector.add_place(self.workers[to].key, &self.workers[to].releases);
        self.send(Errand::Bring { vector }, to, kernel, vec![], vec![], vec![Some(id)]);
    }

    fn send(
        &mut self,
        errand: Errand,
        to: usize,
        kernel: &Kernel,
        inputs: Vec<VectorId>,
        input_lens: Vec<usize>,
        outputs: Vec<Option<VectorId>>,
    ) {
        let tag = self.next_tag;
        self.next_tag += 1;
        let elements = kernel.elements(&input_lens);
        self.load[to] += elements;
        self.errands.insert(tag, UnderWay { errand, worker: to, elements });
        let job = Job {
            tag,
            kernel: kernel.clone(),
            inputs,
            input_lens,
            outputs,
            answer: self.answer.clone(),
            cancelled: self.cancelled.clone(),
        };
        self.workers[to].send(job);
    }

    /// The working devices that hold a vector, or will.
    fn holders<'a>(&'a self, vector: &Vector) -> impl Iterator<Item = usize> + use<'a> {
        let keys: Vec<_> = vector.places().iter().map(|place| place.device).collect();
        let workers = self.workers;
        (0..workers.len()).filter(move |&w| !workers[w].is_quarantined() && keys.contains(&workers[w].key))
    }

    /// Decides where a node runs: not a standby device if another can, then where the least must be moved, then where
    /// the least is queued.
    fn target(&mut self, node: usize, inputs: &[Vector]) -> Result<usize, KernelFailure> {
        if let Some(target) = self.nodes[node].target
            && !self.workers[target].is_quarantined()
        {
            return Ok(target);
        }
        let held: Vec<Vec<usize>> = inputs.iter().map(|vector| self.holders(vector).collect()).collect();
        let unsupported = &self.nodes[node].unsupported;
        let best = (0..self.workers.len())
            .filter(|w| !self.workers[*w].is_quarantined() && !unsupported.contains_key(w))
            .min_by_key(|w| {
                let moved: usize =
                    inputs.iter().zip(&held).filter(|(_, at)| !at.contains(w)).map(|(v, _)| v.len()).sum();
                (self.workers[*w].standby, moved, self.load[*w])
            });
        match best {
            Some(target) => {
                self.nodes[node].target = Some(target);
                Ok(target)
            }
            None => Err(self.nowhere(node)),
        }
    }

    /// A vector that was settled went down with its device.
    fn lost(&self, recipe: &Recipe) -> KernelFailure {
        let reasons: Vec<String> = self.workers.iter().filter_map(Worker::quarantined).collect();
        let source = format!("a vector on it cannot be made again; it failed: {}", reasons.join("; ")).into();
        KernelFailure::DeviceFailed { device: "a device".into(), kernel: recipe.kernel.name(), source }
    }

    /// Why no device can run a node.
    fn nowhere(&self, node: usize) -> KernelFailure {
        let node = &self.nodes[node];
        let kernel = node.recipe.kernel.name();
        let refused = node.unsupported.iter().min_by_key(|(worker, _)| **worker);
        if let Some((&worker, reason)) = refused {
            let (device, reason) = (self.workers[worker].name().into(), reason.clone());
            return KernelFailure::Unsupported { device, kernel, reason };
        }
        let reasons: Vec<String> = self.workers.iter().filter_map(Worker::quarantined).collect();
        let device = "every device".into();
        KernelFailure::DeviceFailed { device, kernel, source: reasons.join("; ").into() }
    }

    fn close(&mut self, node: usize) {
        self.waiting.remove(&node);
        self.nodes[node].done = true;
        self.nodes[node].inputs.clear();
    }

    fn take(&mut self, answer: Answer) -> Result<(), KernelFailure> {
        let (tag, result) = match answer {
            Answer::Done { tag, result } => (tag, result),
            Answer::Settle(settled) => {
                // The worker waits for this.
                let _ = settled.send(());
                return Ok(());
            }
        };
        let Some(UnderWay { errand, worker, elements }) = self.errands.remove(&tag) else {
            return Err(stuck("expected an answer to a task in flight, got another"));
        };
        self.load[worker] -= elements;
        match result {
            Ok(completion) => self.succeed(errand, completion),
            Err(JobFailure::Missing(vectors)) => {
                self.forget(&errand, worker, &vectors);
                self.reopen(errand, worker, None);
            }
            Err(JobFailure::Kernel(KernelFailure::Unsupported { reason, .. })) => {
                self.reopen(errand, worker, Some(reason));
            }
            Err(JobFailure::Kernel(KernelFailure::DeviceFailed { .. })) => self.reopen(errand, worker, None),
            Err(JobFailure::Kernel(failure @ KernelFailure::InvariantViolation { .. })) => {
                return Err(failure);
            }
        }
        Ok(())
    }

    fn succeed(&mut self, errand: Errand, completion: Completion) {
        match errand {
            Errand::Node { node, .. } => {
                if node < self.own {
                    self.results[node] = NodeResult { point: completion.point, scalars: completion.scalars };
                }
                self.close(node);
            }
            Errand::Fetch { vector, to } => {
                self.moving.remove(&(vector.id(), to));
                if !self.workers[to].is_quarantined() {
                    self.bring(vector, to, &Kernel::Upload(HostData::full(completion.scalars)));
                }
            }
            Errand::Bring { .. } => {}
        }
    }

    /// A device never had these inputs, because what should have made them did not run: do not expect them there.
    fn forget(&self, errand: &Errand, worker: usize, missing: &[VectorId]) {
        let inputs = match errand {
            Errand::Node { node, .. } => self.nodes[*node].inputs.as_slice(),
            Errand::Fetch { vector, .. } => std::slice::from_ref(vector),
            Errand::Bring { .. } => &[],
        };
        for vector in inputs.iter().filter(|vector| missing.contains(&vector.id())) {
            vector.remove_place(self.workers[worker].key);
        }
    }

    /// Takes back what was expected of a task that did not run, so that it is planned again.
    fn reopen(&mut self, errand: Errand, worker: usize, unsupported: Option<String>) {
        let key = self.workers[worker].key;
        match errand {
            Errand::Node { node, outputs } => {
                outputs.iter().flatten().for_each(|vector| vector.remove_place(key));
                self.nodes[node].unsupported.extend(unsupported.map(|reason| (worker, reason)));
                self.nodes[node].target = None;
                self.waiting.insert(node);
            }
            Errand::Fetch { vector, to } => {
                self.moving.remove(&(vector.id(), to));
            }
            Errand::Bring { vector } => {
                vector.remove_place(key);
                if let Some(reason) = unsupported {
                    self.avoid(&vector, worker, &reason);
                }
            }
        }
    }

    /// Keeps the readers of a vector away from a device that cannot hold it.
    fn avoid(&mut self, vector: &Vector, worker: usize, reason: &str) {
        for node in self.nodes.iter_mut().filter(|node| !node.done) {
            if node.inputs.iter().any(|input| input.id() == vector.id()) {
                node.unsupported.insert(worker, reason.into());
                node.target = None;
            }
        }
    }
}

fn stuck(detail: &str) -> KernelFailure {
    KernelFailure::InvariantViolation { kernel: "engine", detail: detail.into() }
}
