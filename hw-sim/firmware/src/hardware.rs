//! What the control program needs of the card.

use kiln_abi::feature::{FeatureBlock, FeatureKind};
use kiln_abi::io::Location;
use kiln_abi::record::EngineKind;
use kiln_abi::register::{Capabilities, Doorbell};
use kiln_abi::{DmaFault, IoCommand, Status};

/// A part of the vector engine's parameter memory. A parameter block is copied there once, checked there, and used from
/// there, so the host cannot change it between check and use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Parameters of Powers (64 bytes), or points of Evaluate.
    Block,
    /// Image of a vector program.
    Program,
    /// Bindings of a vector program.
    Bindings,
}

/// How an engine's job ended, and what it cost. The stalls are part of the cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Result of the completion: see [`Status`]. 0 for success.
    pub result: u64,
    /// When the engine started. \[cycles\]
    pub start_cycle: u64,
    /// How long it worked, stalls included. \[cycles\]
    pub cycles: u64,
    /// Waiting for card memory. \[cycles\]
    pub stall_memory: u64,
    /// Waiting for the host link. \[cycles\]
    pub stall_host: u64,
    /// Waiting for operands still in the pipeline. \[cycles\]
    pub stall_hazard: u64,
    /// Payload over the host link, staged parameters included. \[bytes\]
    pub host_bytes: u64,
    /// From and to card memory. \[bytes\]
    pub memory_bytes: u64,
}

impl Outcome {
    /// A job that ended at once at `cycle`.
    pub const fn immediate(status: Status, result: u64, cycle: u64) -> Outcome {
        Outcome {
            status,
            result,
            start_cycle: cycle,
            cycles: 0,
            stall_memory: 0,
            stall_host: 0,
            stall_hazard: 0,
            host_bytes: 0,
            memory_bytes: 0,
        }
    }
}

/// Sensor readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Readings {
    /// Hottest sensor. \[thousandths of a degree Celsius\]
    pub temperature_milli_celsius: i32,
    /// Power drawn. \[mW\]
    pub power_mw: u32,
    /// Memory errors corrected since power-up.
    pub memory_errors_corrected: u64,
    /// Memory errors not corrected since power-up.
    pub memory_errors_uncorrected: u64,
    /// The clock is slowed down.
    pub throttled: bool,
    /// The host link is slower or narrower than it could be.
    pub link_degraded: bool,
}

/// The card, as its control program sees it. A call that takes time on the card (DMA, staging) blocks the control
/// program; the implementation accounts for that time.
pub trait Hardware {
    /// Sizes for the capability registers.
    fn capabilities(&self) -> Capabilities;
    /// Serial number.
    fn serial(&self) -> u64;
    /// Model name, ASCII.
    fn model(&self) -> &str;
    /// The feature block of a piece of hardware, if the card has it: engines, memory, counters, sensors. `Memory` and
    /// `Counters` must be there.
    fn feature(&self, kind: FeatureKind) -> Option<FeatureBlock>;

    /// Reads a word of BAR0 below the doorbell page or above it, as the host has left it.
    fn register(&mut self, offset: u64) -> u32;
    /// Writes a word of BAR0. The hardware keeps the mask registers, the cycle counter and the host's write protection.
    fn set_register(&mut self, offset: u64, value: u32);
    /// Last value that the host wrote to a doorbell, 0 after [`Hardware::clear_doorbell`].
    fn doorbell(&mut self, doorbell: Doorbell) -> u32;
    /// Sets one doorbell back to 0.
    fn clear_doorbell(&mut self, doorbell: Doorbell);

    /// Reads host memory.
    fn host_read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault>;
    /// Writes host memory; writes arrive in the order of the calls, and after what an engine wrote before its outcome
    /// was polled.
    fn host_write(&mut self, address: u64, data: &[u8]) -> Result<(), DmaFault>;
    /// Raises an interrupt after all earlier writes to host memory, unless the host has masked it.
    fn interrupt(&mut self, vector: u16);

    /// Copies `bytes` bytes into the vector engine's parameter memory. A card address has been checked.
    fn stage(&mut self, part: Part, source: Location, bytes: u32) -> Result<(), DmaFault>;
    /// What was staged there last.
    fn staged(&self, part: Part) -> &[u8];

    /// Starts an idle engine on a command whose addresses, lengths and staged parameters have been checked. What the
    /// engine itself must check: scatter lists, points on the curve, scalar bounds, and faults of host memory.
    fn start(&mut self, engine: EngineKind, command: &IoCommand);
    /// Takes the outcome of the engine's job, once it is done and its results are written to host memory.
    fn poll(&mut self, engine: EngineKind) -> Option<Outcome>;
    /// Stops an engine, drops its job; it neither reads nor writes host memory afterwards.
    fn reset_engine(&mut self, engine: EngineKind);

    /// The Ed25519 key by which firmware images must be signed.
    fn firmware_key(&self) -> [u8; 32];
    /// Memory for an image that is downloaded, [`crate::flash::SLOT_BYTES`] bytes. A reset may lose it.
    fn image_buffer(&mut self) -> &mut [u8];
    /// Reads flash; beyond its end, ones.
    fn flash_read(&mut self, address: u32, buffer: &mut [u8]);
    /// Sets every bit of a sector ([`crate::flash::SECTOR_BYTES`]).
    fn flash_erase(&mut self, sector: u32);
    /// Clears the bits of a page that are clear in `data`. Power may fail in the middle.
    fn flash_program(&mut self, page: u32, data: &[u8; crate::flash::PAGE_BYTES]);

    /// Cycles since reset.
    fn cycles(&self) -> u64;
    /// Sensors.
    fn readings(&mut self) -> Readings;
    /// A check of the hardware that destroys no data: 0 when it passes, otherwise the number of the first test that
    /// failed; `None` where the card has no such test.
    fn self_test(&mut self, kind: kiln_abi::admin::SelfTestKind) -> Option<u64>;
}
