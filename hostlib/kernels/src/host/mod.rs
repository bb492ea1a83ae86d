//! A device whose memory is the host's: buffers and tickets for the `reference` and `cpu` backends.
//!
//! Tasks run when they are submitted, except that MSMs are kept until several can run together. What differs between the backends is the arithmetic, behind [`Arithmetic`].

mod column;

use std::collections::HashMap;

use ark_bn254::{Fr, G1Affine};

use crate::bases::Bases;
use crate::device::{
    BasesId, BufferId, Completion, Device, DeviceInfo, LoadedBases, Submission, Task, TaskRecord, Ticket,
};
use crate::error::KernelFailure;
use crate::host_data::HostData;
use crate::kernel::{Kernel, ScalarBound, ScanKind};
use crate::multiples::Multiples;
use crate::program::Program;

/// The arithmetic of a backend in host memory. Shapes have been checked (see [`Kernel::output_lens`]).
pub(crate) trait Arithmetic: Send {
    fn powers(&self, first: Fr, ratio: Fr, len: usize) -> Vec<Fr>;
    fn evaluate_on_coset(&self, coefficients: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>>;
    fn interpolate_coset(&self, evaluations: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>>;
    fn pointwise(&self, program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>>;
    fn invert(&self, v: &HostData) -> Vec<Fr>;
    fn scan(&self, v: &HostData, kind: ScanKind) -> Vec<Fr>;
    fn divide_linear(&self, v: &HostData, root: Fr) -> Vec<Fr>;
    /// Σ v[i]·points[i] for each v; each has as many scalars as there are points.
    fn msms_vartime(
        &self,
        points: Points<'_>,
        columns: &[(&HostData, ScalarBound)],
    ) -> Vec<Result<G1Affine, KernelFailure>>;
    fn evaluate(&self, v: &HostData, points: &[Fr]) -> Vec<Fr>;
}

/// The points of an MSM.
#[derive(Clone, Copy)]
pub(crate) struct Points<'a> {
    /// As many as there are scalars.
    pub(crate) own: &'a [G1Affine],
    /// Multiples of all bases, and the number of the first point among these.
    pub(crate) multiples: Option<(&'a Multiples, usize)>,
}

impl Points<'_> {
    fn of(bases: &Bases, offset: usize, len: usize) -> Points<'_> {
        let multiples = bases.multiples().map(|multiples| (multiples.as_ref(), offset));
        Points { own: &bases.points()[offset..offset + len], multiples }
    }
}

/// A device in host memory.
pub(crate) struct HostDevice<A> {
    info: DeviceInfo,
    arithmetic: A,
    buffers: HashMap<BufferId, HostData>,
    bases: HashMap<BasesId, Bases>,
    finished: HashMap<Ticket, Result<Completion, KernelFailure>>,
    deferred: Vec<DeferredMsm>,
    next: u64,
}

/// An MSM that waits for others over the same points: together they are faster.
struct DeferredMsm {
    ticket: Ticket,
    bases: BasesId,
    offset: usize,
    scalars: HostData,
    bound: ScalarBound,
}

/// As many MSMs wait for others at most, so that their scalars are not kept for long.
const DEFERRED_MAX: usize = 16;

impl<A: Arithmetic> HostDevice<A> {
    pub(crate) fn new(info: DeviceInfo, arithmetic: A) -> HostDevice<A> {
        HostDevice {
            info,
            arithmetic,
            buffers: HashMap::new(),
            bases: HashMap::new(),
            finished: HashMap::new(),
            deferred: Vec::new(),
            next: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Keeps an MSM for later. Its shape has been checked.
    fn defer(&mut self, ticket: Ticket, task: &Task<'_>) -> Result<(), KernelFailure> {
        let Kernel::Msm { offset, bound, .. } = *task.kernel else { return Ok(()) };
        let scalars = task.inputs.first().and_then(|id| self.buffers.get(id));
        let scalars = scalars.ok_or_else(|| violation(task.kernel, "an input buffer is unknown"))?;
        let scalars = scalars.clone();
        let known =
            |id: &BasesId| self.bases.get(id).is_some_and(|points| offset + scalars.len() <= points.len());
        let bases = task.bases.filter(known);
        let bases = bases.ok_or_else(|| violation(task.kernel, "the bases are unknown or too few"))?;
        self.deferred.push(DeferredMsm { ticket, bases, offset, scalars, bound });
        if self.deferred.len() >= DEFERRED_MAX {
            self.run_deferred();
        }
        Ok(())
    }

    /// Runs what was deferred, all over the same points together.
    fn run_deferred(&mut self) {
        let mut deferred = std::mem::take(&mut self.deferred);
        while let Some(first) = deferred.first() {
            let points = |msm: &DeferredMsm| (msm.bases, msm.offset, msm.scalars.len());
            let (bases, offset, len) = points(first);
            let (now, later): (Vec<_>, Vec<_>) =
                deferred.into_iter().partition(|msm| points(msm) == (bases, offset, len));
            deferred = later;
            let columns: Vec<_> = now.iter().map(|msm| (&msm.scalars, msm.bound)).collect();
            let sums = match self.bases.get(&bases) {
                Some(bases) => self.arithmetic.msms_vartime(Points::of(bases, offset, len), &columns),
                None => Vec::new(),
            };
            for (msm, sum) in now.iter().zip(sums) {
                let completion = sum.map(|point| Completion { point: Some(point), ..Completion::default() });
                self.finished.insert(msm.ticket, completion);
            }
        }
    }

    fn run(&self, task: &Task<'_>) -> Result<(Vec<HostData>, Completion), KernelFailure> {
        let kernel = task.kernel;
        let inputs = task
            .inputs
            .iter()
            .map(|id| self.buffers.get(id))
            .collect::<Option<Vec<&HostData>>>()
            .ok_or_else(|| violation(kernel, "an input buffer is unknown"))?;
        let lens: Vec<usize> = inputs.iter().map(|v| v.len()).collect();
        kernel.output_lens(&lens)?;
        let mut completion = Completion::default();
        let arithmetic = &self.arithmetic;
        let one = |values: Vec<Fr>| vec![HostData::full(values)];
        let many = |columns: Vec<Vec<Fr>>| columns.into_iter().map(HostData::full).collect();
        let outputs = match kernel {
            Kernel::Upload(data) => vec![data.clone()],
            Kernel::Powers { first, ratio, len } => one(arithmetic.powers(*first, *ratio, *len)),
            Kernel::EvaluateOnCoset { log_n, shift } => {
                many(arithmetic.evaluate_on_coset(&inputs, *log_n, *shift))
            }
            Kernel::InterpolateCoset { log_n, shift } => {
                many(arithmetic.interpolate_coset(&inputs, *log_n, *shift))
            }
            Kernel::Pointwise { program, len } => many(arithmetic.pointwise(program, &inputs, *len)),
            Kernel::Invert => one(arithmetic.invert(inputs[0])),
            Kernel::Scan(kind) => one(arithmetic.scan(inputs[0], *kind)),
            Kernel::DivideLinear { root } => one(arithmetic.divide_linear(inputs[0], *root)),
            Kernel::Slice { start, len } => vec![column::slice(inputs[0], *start, *len)],
            Kernel::Place { offsets, len } => vec![column::place(&inputs, offsets, *len)],
            // Runs later, in company.
            Kernel::Msm { .. } => vec![],
            Kernel::Evaluate { points } => {
                completion.scalars = arithmetic.evaluate(inputs[0], points);
                vec![]
            }
            Kernel::Download { start, len } => {
                completion.scalars = vec![Fr::default(); *len];
                inputs[0].copy_to(*start, &mut completion.scalars);
                vec![]
            }
        };
        Ok((outputs, completion))
    }
}

impl<A: Arithmetic> Device for HostDevice<A> {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn queue_depth(&self) -> usize {
        // Only MSMs gain by company; anything else would but keep its inputs in memory for longer.
        if self.deferred.is_empty() { 1 } else { DEFERRED_MAX }
    }

    fn load_bases(&mut self, points: &Bases) -> Result<LoadedBases, KernelFailure> {
        let bases = BasesId(self.next());
        self.bases.insert(bases, points.clone());
        Ok(LoadedBases { bases, record: TaskRecord::default() })
    }

    fn release_bases(&mut self, bases: BasesId) {
        self.run_deferred();
        self.bases.remove(&bases);
    }

    fn submit(&mut self, task: &Task<'_>) -> Result<Submission, KernelFailure> {
        let (outputs, completion) = self.run(task)?;
        let ticket = Ticket(self.next());
        if let Kernel::Msm { .. } = task.kernel {
            self.defer(ticket, task)?;
        } else {
            self.finished.insert(ticket, Ok(completion));
        }
        let outputs = outputs
            .into_iter()
            .map(|data| {
                let id = BufferId(self.next());
                self.buffers.insert(id, data);
                id
            })
            .collect();
        Ok(Submission { ticket, outputs })
    }

    fn wait(&mut self, ticket: Ticket) -> Result<Completion, KernelFailure> {
        if self.deferred.iter().any(|msm| msm.ticket == ticket) {
            self.run_deferred();
        }
        self.finished.remove(&ticket).unwrap_or_else(|| {
            Err(KernelFailure::InvariantViolation {
                kernel: "wait",
                detail: format!("ticket {} was waited on before or never given", ticket.0),
            })
        })
    }

    fn release(&mut self, buffer: BufferId) {
        self.buffers.remove(&buffer);
    }
}

fn violation(kernel: &Kernel, detail: &str) -> KernelFailure {
    KernelFailure::InvariantViolation { kernel: kernel.name(), detail: detail.into() }
}
