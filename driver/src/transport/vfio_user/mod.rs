//! A card behind a vfio-user socket: another process that serves a PCI device, such as a simulator.
//!
//! Registers travel as messages; a write is posted, a read waits for its answer behind all earlier writes. DMA memory
//! and interrupts are shared by file descriptor, so neither costs a message. When the connection breaks or an answer
//! does not come in time, registers read all ones, as they do on a bus whose card was pulled out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_abi::DmaFault;
use kiln_abi::register::ALL_ONES;
use kiln_dma::SharedMemory;

use self::connection::{Connection, Failure};
use self::message::{Command, Payload, VERSION, double_word, word};
use super::interrupt::{VECTORS_MAX, Vector, Vectors};
use super::owner::OwnerLock;
use super::pci;
use super::space::{DmaSpace, Mapper};
use super::{Mapping, Transport};
use crate::error::CardError;

mod connection;
mod message;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

/// How long the server may take to greet. A server has one client at a time, and a second one is not greeted.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long any other answer may take. Generous: a card that is modelled in software may be slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Index of the configuration space among the regions of a PCI device.
const CONFIGURATION_REGION: u32 = 7;
/// Index of MSI-X among the interrupts of a PCI device.
const MSIX: u32 = 2;
/// SET_IRQS: file descriptors that are to be signalled.
const IRQ_SET_EVENTFD_TRIGGER: u32 = 1 << 2 | 1 << 5;
/// Readable and writable by the card.
const DMA_READ_WRITE: u32 = 0b11;
/// What the greeting says of this client.
const CAPABILITIES: &[u8] = b"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576}}\0";

/// A transport to a vfio-user server.
pub struct VfioUser {
    path: PathBuf,
    connection: Arc<Connection>,
    space: Arc<DmaSpace>,
    vectors: Vectors,
    _owner: OwnerLock,
}

impl VfioUser {
    /// Connects to the server at this socket and sets its interrupts up.
    ///
    /// # Errors
    /// [`CardError::InUse`] when another process has the card; [`CardError::NotOpen`] when nobody serves there, or
    /// something that is not a PCI device; [`CardError::Transport`] when the system refuses what the driver needs.
    pub fn open(path: &Path) -> Result<VfioUser, CardError> {
        let owner = OwnerLock::take(path)?;
        let fail = |reason: String| CardError::Transport { reason: format!("{}: {reason}", path.display()) };
        let not_open = |reason: String| CardError::NotOpen { card: path.display().to_string(), reason };
        let connection = Connection::open(path, GREETING_TIMEOUT)
            .map_err(|error| not_open(format!("no vfio-user server answers there ({error}); start one")))?;
        greet(&connection).map_err(|reason| {
            not_open(format!("{reason}; look whether a vfio-user server is there and serves another client"))
        })?;
        connection.set_timeout(ANSWER_TIMEOUT).map_err(|error| fail(error.to_string()))?;
        let connection = Arc::new(connection);
        let vectors = connect_vectors(&connection).map_err(fail)?;
        // Nothing in this process limits the addresses; 39 bits are what the smallest common IOMMU translates.
        let space = DmaSpace::new(&[0..=(1 << 39) - 1], 4096, Arc::new(Messages(connection.clone())));
        let transport = VfioUser { path: path.to_owned(), connection, space, vectors, _owner: owner };
        pci::enable(&transport);
        Ok(transport)
    }

    fn region_read(&self, region: u32, offset: u64) -> u32 {
        let payload = Payload::default().u64(offset).u32(region).u32(4);
        match self.connection.request(Command::RegionRead, &payload.0, &[]) {
            Ok(reply) => word(&reply, 16).unwrap_or(ALL_ONES),
            Err(_) => ALL_ONES,
        }
    }

    fn region_write(&self, region: u32, offset: u64, value: u32) {
        let payload = Payload::default().u64(offset).u32(region).u32(4).u32(value);
        // A write to a card that is gone is dropped, as on a bus.
        let _ = self.connection.post(Command::RegionWrite, &payload.0);
    }
}

fn greet(connection: &Connection) -> Result<(), String> {
    let payload = [&VERSION[..], CAPABILITIES].concat();
    let reply = connection.request(Command::Version, &payload, &[]).map_err(|error| error.to_string())?;
    match reply.first_chunk::<2>().map(|major| u16::from_le_bytes(*major)) {
        Some(0) => {}
        other => return Err(format!("expected version 0 of the protocol, got {other:?}")),
    }
    let info = request(connection, Command::DeviceInfo, Payload::default().u32(16).u32(0).u32(0).u32(0))?;
    let (flags, regions, interrupts) = (word(&info, 4), word(&info, 8), word(&info, 12));
    match (flags, regions, interrupts) {
        (Some(flags), Some(regions), Some(interrupts))
            if flags & 0b10 != 0 && regions > CONFIGURATION_REGION && interrupts > MSIX =>
        {
            Ok(())
        }
        other => Err(format!("it serves no PCI device with MSI-X (flags, regions, interrupts {other:?})")),
    }
}

fn request(connection: &Connection, command: Command, payload: Payload) -> Result<Vec<u8>, String> {
    connection.request(command, &payload.0, &[]).map_err(|error| error.to_string())
}

fn connect_vectors(connection: &Connection) -> Result<Vectors, String> {
    let info = request(connection, Command::IrqInfo, Payload::default().u32(16).u32(0).u32(MSIX).u32(0))?;
    let count = word(&info, 12).filter(|count| *count > 0).ok_or("it has no interrupt vectors")?;
    (0..count.min(VECTORS_MAX))
        .map(|index| {
            let vector = Vector::new().map_err(|error| error.to_string())?;
            let payload = Payload::default().u32(20).u32(IRQ_SET_EVENTFD_TRIGGER).u32(MSIX).u32(index).u32(1);
            connection
                .request(Command::SetIrqs, &payload.0, &[vector.event()])
                .map_err(|error| error.to_string())?;
            Ok(vector)
        })
        .collect::<Result<_, _>>()
        .map(Vectors)
}

/// Maps memory by telling the server.
struct Messages(Arc<Connection>);

impl Mapper for Messages {
    fn map(&self, iova: u64, memory: &SharedMemory) -> Result<(), CardError> {
        let bytes = memory.length() as u64;
        let payload = Payload::default().u32(32).u32(DMA_READ_WRITE).u64(0).u64(iova).u64(bytes);
        match self.0.request(Command::DmaMap, &payload.0, &[&memory.file()]) {
            Ok(_) => Ok(()),
            Err(Failure::Broken(_)) => Err(CardError::Gone),
            Err(refused) => Err(CardError::Map { bytes, reason: refused.to_string() }),
        }
    }

    fn unmap(&self, iova: u64, bytes: u64) -> Result<(), CardError> {
        let payload = Payload::default().u32(24).u32(0).u64(iova).u64(bytes);
        match self.0.request(Command::DmaUnmap, &payload.0, &[]) {
            Ok(reply) if double_word(&reply, 8) == Some(iova) && double_word(&reply, 16) == Some(bytes) => {
                Ok(())
            }
            Ok(reply) => Err(CardError::Map {
                bytes,
                reason: format!("the server unmapped something else: {reply:x?}"),
            }),
            Err(Failure::Broken(_)) => Err(CardError::Gone),
            Err(refused) => Err(CardError::Map { bytes, reason: refused.to_string() }),
        }
    }
}

impl Transport for VfioUser {
    fn name(&self) -> String {
        format!("vfio-user:{}", self.path.display())
    }

    fn kind(&self) -> &'static str {
        "vfio-user socket"
    }

    fn read32(&self, bar: u8, offset: u64) -> u32 {
        self.region_read(u32::from(bar), offset)
    }

    fn write32(&self, bar: u8, offset: u64, value: u32) {
        self.region_write(u32::from(bar), offset, value);
    }

    fn config_read32(&self, offset: u16) -> u32 {
        self.region_read(CONFIGURATION_REGION, u64::from(offset))
    }

    fn config_write32(&self, offset: u16, value: u32) {
        self.region_write(CONFIGURATION_REGION, u64::from(offset), value);
    }

    fn map(&self, bytes: usize) -> Result<Box<dyn Mapping>, CardError> {
        self.space.make(bytes)
    }

    fn interrupts_seen(&self, vector: u16) -> u64 {
        self.vectors.seen(vector)
    }

    fn wait_interrupt(&self, vector: u16, seen: u64, until: Instant) {
        self.vectors.wait(vector, seen, until);
    }

    fn reset(&self) -> Result<(), CardError> {
        match self.connection.request(Command::Reset, &[], &[]) {
            Ok(_) => {
                pci::enable(self);
                Ok(())
            }
            Err(Failure::Broken(_)) => Err(CardError::Gone),
            Err(refused) => Err(CardError::Transport { reason: refused.to_string() }),
        }
    }

    fn take_faults(&self) -> Vec<DmaFault> {
        // Only the other side's IOMMU knows them; the card reports them by the status of the command.
        Vec::new()
    }
}
