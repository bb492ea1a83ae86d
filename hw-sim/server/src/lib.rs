//! The card as a PCI device of its own process, served over a vfio-user socket.
//!
//! ```text
//!  client (driver, QEMU) ══ socket ══ Backend ─┬─ ConfigSpace: PM, MSI-X, PCIe with FLR, AER
//!        │                                     ├─ Runner: thread ─ Card (registers, firmware, engines)
//!        └── memory by file descriptor ── HostTable ◄── DMA ──┘ │
//!        └── eventfds ────────────────── MsixVectors ◄──────────┘
//! ```
//! One client at a time. When it leaves, the card is reset and the next may come.
#![forbid(unsafe_code)]

mod backend;
mod config_space;
pub mod control;
mod host;
pub mod image;
mod msix;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_abi::register::{BAR_MEMORY_WINDOW, BAR_REGISTERS, BAR_REGISTERS_BYTES};
use kiln_abi::{HostMemory, Interrupts};
use kiln_bus::{Injector, Runner};
use thiserror::Error;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};
use vfio_user::{IrqInfo, Server, ServerRegion};

use backend::Backend;
use config_space::{CONFIG_BYTES, ConfigSpace};
use host::HostTable;
use kiln_sim::{Card, VECTORS};
use msix::MsixVectors;

/// BAR with the MSI-X table.
const BAR_MSIX: u8 = 2;
/// Its size. \[bytes\]
const BAR_MSIX_BYTES: u64 = 4096;
/// Size of the window on card memory. \[bytes\]
const BAR_MEMORY_WINDOW_BYTES: u64 = 16 << 20;
/// Index of the configuration space among the regions.
const REGION_CONFIG: u8 = 7;

/// Why a card cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Something is at the path.
    #[error("{path} is {what}; remove it, or choose another socket")]
    PathTaken {
        /// Where.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The socket or a client's connection failed.
    #[error("the socket failed; check the path and its permissions")]
    Socket(#[from] vfio_user::Error),
    /// A thread or a file cannot be had.
    #[error("the system refused what serving needs")]
    System(#[from] io::Error),
}

/// A card behind a socket.
pub struct CardServer {
    server: Server,
    backend: Backend,
}

impl CardServer {
    /// Binds the socket. A socket that nobody serves any more is replaced.
    pub fn bind(path: &Path, card: Card) -> Result<CardServer, ServeError> {
        clear_stale(path)?;
        let server = Server::new(path, true, interrupts(), regions())?;
        let (host, vectors) = (Arc::new(HostTable::default()), Arc::new(MsixVectors::new(VECTORS)));
        let config = ConfigSpace::new(card.serial());
        let (memory, interrupts): (Arc<dyn HostMemory>, Arc<dyn Interrupts>) =
            (host.clone(), vectors.clone());
        // The client's own patience ends a read, or its connection.
        let runner = Runner::start("card", card, memory, interrupts, Duration::MAX)?;
        Ok(CardServer { server, backend: Backend { config, runner, host, vectors } })
    }

    /// A way to make the card suffer faults while it is served.
    pub fn injector(&self) -> Injector<Card> {
        self.backend.runner.injector()
    }

    /// Serves one client until it leaves, then resets the card.
    pub fn serve_one(&mut self) -> Result<(), ServeError> {
        let outcome = self.server.run(&mut self.backend);
        self.backend.client_left();
        Ok(outcome?)
    }
}

/// Removes a socket that a server left behind when it was killed.
fn clear_stale(path: &Path) -> Result<(), ServeError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    let taken = |what| Err(ServeError::PathTaken { path: path.to_owned(), what });
    if !metadata.file_type().is_socket() {
        return taken("a file and no socket");
    }
    if UnixStream::connect(path).is_ok() {
        return taken("served by another process");
    }
    Ok(std::fs::remove_file(path)?)
}

fn interrupts() -> Vec<IrqInfo> {
    (0..VFIO_PCI_NUM_IRQS)
        .map(|index| {
            let count = if index == VFIO_PCI_MSIX_IRQ_INDEX { u32::from(VECTORS) } else { 0 };
            IrqInfo { index, flags: VFIO_IRQ_INFO_EVENTFD, count }
        })
        .collect()
}

fn regions() -> Vec<ServerRegion> {
    (0..VFIO_PCI_NUM_REGIONS)
        .map(|index| {
            let size = match index as u8 {
                BAR_REGISTERS => BAR_REGISTERS_BYTES,
                BAR_MSIX => BAR_MSIX_BYTES,
                BAR_MEMORY_WINDOW => BAR_MEMORY_WINDOW_BYTES,
                REGION_CONFIG => CONFIG_BYTES as u64,
                _ => 0,
            };
            let flags = if size > 0 { VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE } else { 0 };
            let argsz = size_of::<vfio_region_info>() as u32;
            let region_info = vfio_region_info { argsz, flags, index, cap_offset: 0, size, offset: 0 };
            ServerRegion { region_info, sparse_areas: Vec::new(), mmap_fd: None }
        })
        .collect()
}
