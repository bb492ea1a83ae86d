//! Everything that moves or computes data: engines, card memory, the way to host memory.

use super::job::{Done, Failure};
use crate::hbm::Hbm;
use crate::memory::CardMemory;
use crate::msm::MsmEngine;
use crate::ntt::NttEngine;
use crate::pcie::Link;
use crate::profile::Profile;
use crate::time::Clock;
use crate::vector::lanes::Lanes;
use kiln_abi::io::IoCommand;
use kiln_abi::{DmaFault, HostMemory};
use kiln_firmware::Part;
use std::sync::Arc;

/// The vector engine's parameter memory.
#[derive(Debug, Default)]
pub struct Staged {
    block: Vec<u8>,
    program: Vec<u8>,
    bindings: Vec<u8>,
    /// Bytes that came from the host since the engine started last.
    pub host_bytes: u64,
}

impl Staged {
    /// What lies in a part.
    pub fn part(&self, part: Part) -> &[u8] {
        match part {
            Part::Block => &self.block,
            Part::Program => &self.program,
            Part::Bindings => &self.bindings,
        }
    }

    /// Room for what comes into a part.
    pub fn replace(&mut self, part: Part, bytes: Vec<u8>) {
        match part {
            Part::Block => self.block = bytes,
            Part::Program => self.program = bytes,
            Part::Bindings => self.bindings = bytes,
        }
    }
}

/// The data path of a card.
pub struct Datapath {
    pub(super) clock: Clock,
    pub(super) product_latency: u64,
    pub(super) link: Link,
    pub(super) hbm: Hbm,
    pub(super) memory: CardMemory,
    pub(super) msm: MsmEngine,
    pub(super) ntt: NttEngine,
    pub(super) lanes: Lanes,
    pub(super) staged: Staged,
    pub(super) host: Option<Arc<dyn HostMemory>>,
    pub(super) link_up: bool,
}

impl Datapath {
    pub(super) fn new(profile: &Profile) -> Datapath {
        let hbm = Hbm::new(&profile.memory);
        Datapath {
            clock: Clock::from_mhz(profile.core_mhz),
            product_latency: profile.multiplier.latency_cycles,
            link: Link::new(&profile.pcie),
            memory: CardMemory::new(hbm.size_bytes()),
            hbm,
            msm: MsmEngine::new(profile),
            ntt: NttEngine::new(profile),
            lanes: Lanes::new(profile),
            staged: Staged::default(),
            host: None,
            link_up: true,
        }
    }

    /// Computes a command's values and its cost. Card memory changes at once; host memory when the job ends.
    pub(super) fn execute(&mut self, command: &IoCommand) -> Result<Done, Failure> {
        match *command {
            IoCommand::Fence => Ok(Done::default()),
            IoCommand::CopyToCard { destination, bytes, source } => {
                self.copy_to_card(destination, bytes, source)
            }
            IoCommand::CopyFromCard { source, bytes, destination } => {
                self.copy_from_card(source, bytes, destination)
            }
            IoCommand::ExpandSmall { destination, length, source } => {
                self.expand_small(destination, u64::from(length), source)
            }
            IoCommand::LoadBases { destination, length, source } => {
                self.load_bases(destination, u64::from(length), source)
            }
            IoCommand::Powers { destination, length, .. } => self.powers(destination, u64::from(length)),
            IoCommand::Place { source, length, destination, before, total } => {
                self.place(source, u64::from(length), destination, u64::from(before), u64::from(total))
            }
            IoCommand::Msm { bases, offset, scalars, length, bound, result } => {
                let bases = bases + kiln_abi::POINT_BYTES * u64::from(offset);
                self.multiply_points(bases, scalars, u64::from(length), bound, result)
            }
            IoCommand::Ntt { source, source_length, destination, log_n, direction, shift } => {
                let source = (source, u64::from(source_length));
                self.transform(source, destination, u32::from(log_n), direction, &shift)
            }
            IoCommand::VectorProgram { rows, .. } => self.run_program(rows),
            IoCommand::Scan { source, destination, length, kind } => {
                self.scan(source, destination, u64::from(length), kind)
            }
            IoCommand::Invert { source, destination, length } => {
                self.invert(source, destination, u64::from(length))
            }
            IoCommand::Evaluate { source, length, result, .. } => {
                self.evaluate(source, u64::from(length), result)
            }
            IoCommand::DivideLinear { source, destination, length, root } => {
                self.divide_linear(source, destination, u64::from(length), &root)
            }
        }
    }

    pub(super) fn host_read(&self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault> {
        let unreachable = DmaFault { address, length: buffer.len() as u64, write: false };
        self.reachable_host().ok_or(unreachable)?.read(address, buffer)
    }

    pub(super) fn host_write(&self, address: u64, data: &[u8]) -> Result<(), DmaFault> {
        let unreachable = DmaFault { address, length: data.len() as u64, write: true };
        self.reachable_host().ok_or(unreachable)?.write(address, data)
    }

    fn reachable_host(&self) -> Option<&Arc<dyn HostMemory>> {
        self.host.as_ref().filter(|_| self.link_up)
    }
}
