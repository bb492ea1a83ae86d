//! A device whose memory is the host's: buffers and tickets for the `reference` and `cpu` backends.
//!
//! Tasks run when they are submitted. What differs between the backends is the arithmetic, behind [`Arithmetic`].

mod column;

use std::collections::HashMap;

use ark_bn254::{Fr, G1Affine};

pub(crate) use column::Column;

use crate::device::{
    BasesId, BufferId, Completion, Device, DeviceInfo, LoadedBases, Submission, Task, TaskRecord, Ticket,
};
use crate::error::KernelFailure;
use crate::host_data::HostData;
use crate::kernel::{Kernel, ScalarBound, ScanKind};
use crate::program::Program;
use crate::values::Values;

/// The arithmetic of a backend in host memory. Shapes have been checked (see [`Kernel::output_lens`]).
pub(crate) trait Arithmetic: Send {
    fn powers(&self, first: Fr, ratio: Fr, len: usize) -> Vec<Fr>;
    fn evaluate_on_coset(&self, coefficients: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>>;
    fn interpolate_coset(&self, evaluations: &[&HostData], log_n: u32, shift: Fr) -> Vec<Vec<Fr>>;
    fn pointwise(&self, program: &Program, inputs: &[&HostData], len: usize) -> Vec<Vec<Fr>>;
    fn invert(&self, v: &HostData) -> Vec<Fr>;
    fn scan(&self, v: &HostData, kind: ScanKind) -> Vec<Fr>;
    fn divide_linear(&self, v: &HostData, root: Fr) -> Vec<Fr>;
    /// Σ v[i]·points[i]; as many points as scalars.
    fn msm_vartime(
        &self,
        points: &[G1Affine],
        v: &HostData,
        bound: ScalarBound,
    ) -> Result<G1Affine, KernelFailure>;
    fn evaluate(&self, v: &HostData, points: &[Fr]) -> Vec<Fr>;
}

/// A device in host memory.
pub(crate) struct HostDevice<A> {
    info: DeviceInfo,
    arithmetic: A,
    buffers: HashMap<BufferId, Column>,
    bases: HashMap<BasesId, Values<G1Affine>>,
    finished: HashMap<Ticket, Completion>,
    next: u64,
}

impl<A: Arithmetic> HostDevice<A> {
    pub(crate) fn new(info: DeviceInfo, arithmetic: A) -> HostDevice<A> {
        HostDevice {
            info,
            arithmetic,
            buffers: HashMap::new(),
            bases: HashMap::new(),
            finished: HashMap::new(),
            next: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn run(&self, task: &Task<'_>) -> Result<(Vec<HostData>, Completion), KernelFailure> {
        let kernel = task.kernel;
        let inputs = task
            .inputs
            .iter()
            .map(|id| self.buffers.get(id).map(Column::data))
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
            Kernel::Place { offset, len } => vec![column::place(inputs[0], *offset, *len)],
            Kernel::Msm { offset, bound, .. } => {
                let points = task
                    .bases
                    .and_then(|id| self.bases.get(&id))
                    .and_then(|points| points.get(*offset..*offset + lens[0]))
                    .ok_or_else(|| violation(kernel, "the bases are unknown or too few"))?;
                completion.point = Some(arithmetic.msm_vartime(points, inputs[0], *bound)?);
                vec![]
            }
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
        1
    }

    fn load_bases(&mut self, points: &Values<G1Affine>) -> Result<LoadedBases, KernelFailure> {
        let bases = BasesId(self.next());
        self.bases.insert(bases, points.clone());
        Ok(LoadedBases { bases, record: TaskRecord::default() })
    }

    fn release_bases(&mut self, bases: BasesId) {
        self.bases.remove(&bases);
    }

    fn submit(&mut self, task: &Task<'_>) -> Result<Submission, KernelFailure> {
        let (outputs, completion) = self.run(task)?;
        let ticket = Ticket(self.next());
        self.finished.insert(ticket, completion);
        let outputs = outputs
            .into_iter()
            .map(|data| {
                let id = BufferId(self.next());
                self.buffers.insert(id, Column::new(data));
                id
            })
            .collect();
        Ok(Submission { ticket, outputs })
    }

    fn wait(&mut self, ticket: Ticket) -> Result<Completion, KernelFailure> {
        self.finished.remove(&ticket).ok_or_else(|| KernelFailure::InvariantViolation {
            kernel: "wait",
            detail: format!("ticket {} was waited on before or never given", ticket.0),
        })
    }

    fn release(&mut self, buffer: BufferId) {
        self.buffers.remove(&buffer);
    }
}

fn violation(kernel: &Kernel, detail: &str) -> KernelFailure {
    KernelFailure::InvariantViolation { kernel: kernel.name(), detail: detail.into() }
}
