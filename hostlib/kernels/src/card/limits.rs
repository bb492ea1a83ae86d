//! What a card can do, from its feature chain: what it cannot is refused before a command is made.

use kiln_abi::feature::{FeatureBlock, FeatureKind};
use kiln_driver::Features;

use crate::kernel::Kernel;
use crate::program::Program;

/// The largest sizes; 0 where the card lacks the engine.
pub(super) struct Limits {
    msm_length: u64,
    ntt_log_n: u32,
    vector: Option<VectorLimits>,
}

struct VectorLimits {
    registers: u32,
    instructions: u32,
    constants: u32,
    inputs: u32,
    outputs: u32,
}

impl Limits {
    pub(super) fn of(features: &Features) -> Limits {
        let msm_length = match features.get(FeatureKind::EngineMsm) {
            Some(FeatureBlock::EngineMsm { log_length_max, .. }) => 1 << (*log_length_max).min(63),
            _ => 0,
        };
        let ntt_log_n = match features.get(FeatureKind::EngineNtt) {
            Some(FeatureBlock::EngineNtt { log_n_max, .. }) => *log_n_max,
            _ => 0,
        };
        let vector = match features.get(FeatureKind::EngineVector) {
            Some(&FeatureBlock::EngineVector {
                registers,
                instructions_max: instructions,
                constants_max: constants,
                inputs_max: inputs,
                outputs_max: outputs,
                ..
            }) => Some(VectorLimits { registers, instructions, constants, inputs, outputs }),
            _ => None,
        };
        Limits { msm_length, ntt_log_n, vector }
    }

    /// Whether the card has the engine that the kernel needs, large enough; else what it lacks.
    pub(super) fn check(&self, kernel: &Kernel, inputs: &[usize], outputs: &[usize]) -> Result<(), String> {
        // Commands count elements in 32 bits.
        let longest = inputs.iter().chain(outputs).copied().max().unwrap_or(0);
        if longest > u32::MAX as usize {
            return Err(format!("expected vectors shorter than 2^32 elements, got {longest}"));
        }
        match kernel {
            Kernel::Upload(_) | Kernel::Download { .. } => Ok(()),
            Kernel::Msm { bases, .. }
                if longest as u64 > self.msm_length || bases.len() > u32::MAX as usize =>
            {
                Err(format!("expected at most {} scalars, got {longest}", self.msm_length))
            }
            Kernel::Msm { .. } => Ok(()),
            Kernel::EvaluateOnCoset { log_n, .. } | Kernel::InterpolateCoset { log_n, .. } => {
                if *log_n > self.ntt_log_n {
                    return Err(format!("expected a domain of at most 2^{}, got 2^{log_n}", self.ntt_log_n));
                }
                Ok(())
            }
            _ => self.check_vector(kernel),
        }
    }

    fn check_vector(&self, kernel: &Kernel) -> Result<(), String> {
        let limits = self.vector.as_ref().ok_or("expected a vector engine, got none")?;
        let Kernel::Pointwise { program, .. } = kernel else { return Ok(()) };
        let within = |what: &str, got: usize, most: u32| {
            if got as u64 <= u64::from(most) {
                Ok(())
            } else {
                Err(format!("expected a program of at most {most} {what}, got {got}"))
            }
        };
        let Program { inputs, outputs, constants, instructions } = &**program;
        within("registers", program.register_count(), limits.registers)?;
        within("instructions", instructions.len(), limits.instructions)?;
        within("constants", constants.len(), limits.constants)?;
        within("inputs", *inputs, limits.inputs)?;
        within("outputs", *outputs, limits.outputs)
    }
}
