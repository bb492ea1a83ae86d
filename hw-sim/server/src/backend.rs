//! What the socket's messages mean for the card.
//!
//! A callback that fails makes the server answer with error number 0, which some clients take for success. So faults
//! are shown as a bus shows them, by all ones and by lost writes; only a mapping that cannot be is refused.

use std::fs::File;
use std::io;
use std::sync::Arc;

use kiln_abi::register::{BAR_MEMORY_WINDOW, BAR_REGISTERS};
use kiln_bus::Runner;
use kiln_sim::Card;
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_MSIX_IRQ_INDEX,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, ServerBackend};

use crate::config_space::{ConfigSpace, Effect};
use crate::host::HostTable;
use crate::msix::MsixVectors;
use crate::{BAR_MEMORY_WINDOW_BYTES, REGION_CONFIG};

/// The card's side of one socket.
pub(crate) struct Backend {
    pub(crate) config: ConfigSpace,
    pub(crate) runner: Runner<Card>,
    pub(crate) host: Arc<HostTable>,
    pub(crate) vectors: Arc<MsixVectors>,
}

impl Backend {
    /// Nobody is there any more: no memory, no interrupts, a fresh card.
    pub(crate) fn client_left(&mut self) {
        self.host.clear();
        self.vectors.clear();
        self.function_reset();
    }

    fn function_reset(&mut self) {
        self.runner.reset();
        self.config.reset();
        self.host.set_bus_master(false);
    }

    fn answers_memory(&self, region: u32, offset: u64, bytes: usize) -> Option<u8> {
        let bar = match u8::try_from(region) {
            Ok(bar @ BAR_REGISTERS) => bar,
            Ok(bar @ BAR_MEMORY_WINDOW) if offset < BAR_MEMORY_WINDOW_BYTES => bar,
            _ => return None,
        };
        let words = offset.is_multiple_of(4) && bytes.is_multiple_of(4);
        (words && self.config.memory_enabled()).then_some(bar)
    }
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        if region == u32::from(REGION_CONFIG) {
            self.config.read(offset, data);
            return Ok(());
        }
        data.fill(0xff);
        if let Some(bar) = self.answers_memory(region, offset, data.len()) {
            for (at, word) in (offset..).step_by(4).zip(data.chunks_exact_mut(4)) {
                word.copy_from_slice(&self.runner.read(bar, at).to_le_bytes());
            }
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        if region == u32::from(REGION_CONFIG) {
            if self.config.write(offset, data) == Effect::FunctionReset {
                self.function_reset();
            }
            self.host.set_bus_master(self.config.bus_master());
            return Ok(());
        }
        if let Some(bar) = self.answers_memory(region, offset, data.len()) {
            for (at, word) in (offset..).step_by(4).zip(data.as_chunks::<4>().0) {
                self.runner.write(bar, at, u32::from_le_bytes(*word));
            }
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        file: Option<File>,
    ) -> io::Result<()> {
        let access = (flags.contains(DmaMapFlags::READ), flags.contains(DmaMapFlags::WRITE));
        self.host.map(address, size, file, offset, access)
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        if flags.contains(DmaUnmapFlags::UNMAP_ALL) {
            self.host.unmap(0, u64::MAX);
        } else {
            self.host.unmap(address, size);
        }
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.function_reset();
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        files: Vec<File>,
    ) -> io::Result<()> {
        if index != VFIO_PCI_MSIX_IRQ_INDEX || flags & VFIO_IRQ_SET_ACTION_TRIGGER == 0 {
            return Ok(());
        }
        if flags & VFIO_IRQ_SET_DATA_EVENTFD != 0 {
            self.vectors.connect(start, count, files);
        } else if count == 0 {
            self.vectors.clear();
        }
        Ok(())
    }
}
