//! A card on this machine's PCI bus, through the kernel's VFIO: the IOMMU lets it reach only what is mapped.
//!
//! The two interfaces of the kernel differ in how the card is opened and who maps memory (`group`, `cdev`); the rest
//! is the same.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kiln_abi::DmaFault;
use kiln_abi::register::{ALL_ONES, BAR_MEMORY_WINDOW, BAR_REGISTERS};
use kiln_dma::MmioRegion;
use vfio_bindings::bindings::vfio::{
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_REGION_INFO_FLAG_MMAP,
};
use vfio_ioctls::VfioDevice;
use vmm_sys_util::ioctl::ioctl;

pub use self::interface::Interface;
use self::interface::Way;
use super::interrupt::{VECTORS_MAX, Vector, Vectors};
use super::space::{DmaSpace, Mapper};
use super::{Mapping, Transport, pci};
use crate::address::{PciAddress, VfioAddress};
use crate::error::CardError;

#[allow(unsafe_code)] // Calls into the kernel that take addresses.
mod cdev;
#[allow(unsafe_code)] // Calls into the kernel that take addresses.
mod group;
pub(crate) mod interface;

/// `_IO(';', 100 + 11)`: function-level reset.
const VFIO_DEVICE_RESET: u64 = 0x3b6f;
/// Smallest page of an IOMMU. \[bytes\]
const PAGE_BYTES: u64 = 4096;

/// A transport to a card that vfio-pci drives.
pub struct Vfio {
    address: PciAddress,
    interface: Interface,
    // Unmapped before the device is closed: fields are dropped in this order.
    bars: Vec<(u8, MmioRegion)>,
    device: VfioDevice,
    vectors: Vectors,
    space: Arc<DmaSpace>,
}

/// A device that was opened, and who maps memory for it.
struct Opened {
    device: VfioDevice,
    limits: Limits,
    mapper: Arc<dyn Mapper>,
}

/// Addresses that the IOMMU translates, and its page size. \[bytes\]
struct Limits {
    usable: Vec<RangeInclusive<u64>>,
    page_bytes: u64,
}

impl Vfio {
    /// Opens the card at this place of the bus.
    ///
    /// # Errors
    /// [`CardError::InUse`] when another process has it; [`CardError::NoDevice`] when there is no such device;
    /// [`CardError::NotOpen`] when it is not bound to vfio-pci, this user may not open it, or the kernel does not have
    /// the interface that the address asks for; [`CardError::Transport`] when the system refuses what the driver needs.
    pub fn open(address: VfioAddress) -> Result<Vfio, CardError> {
        let (root, place) = (Path::new("/"), address.place);
        let (interface, opened) = match interface::choose(root, address)? {
            Way::Group => (Interface::Group, group::open(root, place)?),
            Way::Cdev { device, iommu } => (Interface::Cdev, cdev::open(place, &device, &iommu)?),
        };
        let Opened { device, limits, mapper } = opened;
        let fail = |reason: String| CardError::Transport { reason: format!("{place}: {reason}") };
        let bars =
            map_bars(&device).map_err(|error| fail(format!("its registers cannot be mapped: {error}")))?;
        let vectors = connect_vectors(&device).map_err(fail)?;
        let space = DmaSpace::new(&limits.usable, limits.page_bytes, mapper);
        let transport = Vfio { address: place, interface, bars, device, vectors, space };
        pci::enable(&transport);
        Ok(transport)
    }

    fn file(&self) -> BorrowedFd<'_> {
        file_of(&self.device)
    }

    fn config_offset(&self, offset: u16) -> u64 {
        self.device.get_region_offset(VFIO_PCI_CONFIG_REGION_INDEX) + u64::from(offset)
    }
}

fn in_use(place: PciAddress) -> CardError {
    CardError::InUse { card: place.to_string(), process: None }
}

fn not_permitted(place: PciAddress, path: &str) -> CardError {
    let reason = format!("this user may not open {path}; kiln card bind vfio:{place} --user NAME");
    CardError::NotOpen { card: place.to_string(), reason }
}

fn file_of(device: &VfioDevice) -> BorrowedFd<'_> {
    // SAFETY: the device owns its descriptor and lives as long as the borrow.
    unsafe { BorrowedFd::borrow_raw(device.as_raw_fd()) }
}

fn map_bars(device: &VfioDevice) -> io::Result<Vec<(u8, MmioRegion)>> {
    let mut bars = Vec::new();
    for bar in [BAR_REGISTERS, BAR_MEMORY_WINDOW] {
        let index = u32::from(bar);
        let size = device.get_region_size(index);
        if size > 0 && device.get_region_flags(index) & VFIO_REGION_INFO_FLAG_MMAP != 0 {
            bars.push((bar, MmioRegion::map(file_of(device), device.get_region_offset(index), size)?));
        }
    }
    Ok(bars)
}

fn connect_vectors(device: &VfioDevice) -> Result<Vectors, String> {
    let count = device.get_irq_info(VFIO_PCI_MSIX_IRQ_INDEX).map_or(0, |info| info.count);
    if count == 0 {
        return Err("it has no MSI-X vectors".to_owned());
    }
    let vectors: io::Result<Vec<Vector>> = (0..count.min(VECTORS_MAX)).map(|_| Vector::new()).collect();
    let vectors = vectors.map_err(|error| error.to_string())?;
    device.enable_msix(vectors.iter().map(Vector::event).collect()).map_err(|error| error.to_string())?;
    Ok(Vectors(vectors))
}

impl Transport for Vfio {
    fn name(&self) -> String {
        format!("vfio:{}", self.address)
    }

    fn kind(&self) -> &'static str {
        match self.interface {
            Interface::Group => "VFIO, group interface",
            Interface::Cdev => "VFIO, cdev interface with iommufd",
        }
    }

    fn read32(&self, bar: u8, offset: u64) -> u32 {
        let region = self.bars.iter().find(|(index, _)| *index == bar);
        region.and_then(|(_, region)| region.read32(offset)).unwrap_or(ALL_ONES)
    }

    fn write32(&self, bar: u8, offset: u64, value: u32) {
        if let Some((_, region)) = self.bars.iter().find(|(index, _)| *index == bar) {
            // A write that no word takes is dropped, as on a bus.
            let _ = region.write32(offset, value);
        }
    }

    fn config_read32(&self, offset: u16) -> u32 {
        let mut bytes = [0; 4];
        match rustix::io::pread(self.file(), &mut bytes, self.config_offset(offset)) {
            Ok(4) => u32::from_le_bytes(bytes),
            _ => ALL_ONES,
        }
    }

    fn config_write32(&self, offset: u16, value: u32) {
        // To a card that is gone, a write is lost.
        let _ = rustix::io::pwrite(self.file(), &value.to_le_bytes(), self.config_offset(offset));
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
        // SAFETY: the call takes no argument and touches no memory of this process.
        let outcome = unsafe { ioctl(&self.device, VFIO_DEVICE_RESET) };
        if outcome < 0 {
            let error = io::Error::last_os_error();
            return Err(CardError::Transport {
                reason: format!("{}: the reset failed: {error}", self.address),
            });
        }
        pci::enable(self);
        Ok(())
    }

    fn take_faults(&self) -> Vec<DmaFault> {
        // The kernel's log has them; the card reports them by the status of the command.
        Vec::new()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn device_that_is_not_there_is_a_clear_error() {
        let place = PciAddress { domain: 0xffff, bus: 0xff, device: 0x1f, function: 7 };
        let error = Vfio::open(VfioAddress { place, interface: None })
            .map(|_| ())
            .expect_err("not there")
            .to_string();
        assert!(error.contains("ffff:ff:1f.7") && error.contains("card list"), "{error}");
    }
}
