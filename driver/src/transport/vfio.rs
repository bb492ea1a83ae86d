//! A card on this machine's PCI bus, through the kernel's VFIO: the IOMMU lets it reach only what is mapped.
//!
//! Uses the group interface (`/dev/vfio/N`) with the type 1 version 2 IOMMU driver.

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use kiln_abi::DmaFault;
use kiln_abi::register::{ALL_ONES, BAR_MEMORY_WINDOW, BAR_REGISTERS};
use kiln_dma::{MmioRegion, SharedMemory};
use vfio_bindings::bindings::vfio::{
    VFIO_IOMMU_INFO_CAPS, VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_REGION_INFO_FLAG_MMAP,
};
use vfio_ioctls::{VfioContainer, VfioDevice, VfioError, VfioOps};
use vmm_sys_util::ioctl::{ioctl, ioctl_with_mut_ptr};

use super::interrupt::Vector;
use super::space::{DmaSpace, Mapper};
use super::{Mapping, Transport, pci};
use crate::address::PciAddress;
use crate::error::CardError;

/// `_IO(';', 100 + 11)`: function-level reset.
const VFIO_DEVICE_RESET: u64 = 0x3b6f;
/// `_IO(';', 100 + 12)`: what the IOMMU can translate.
const VFIO_IOMMU_GET_INFO: u64 = 0x3b70;
/// Room for its answer. \[bytes\]
const IOMMU_INFO_BYTES: usize = 4096;
/// Most vectors that are used.
const VECTORS_MAX: u32 = 64;
/// Smallest page of an IOMMU. \[bytes\]
const PAGE_BYTES: u64 = 4096;

/// A transport to a card that vfio-pci drives.
pub struct Vfio {
    address: PciAddress,
    // Unmapped before the device is closed: fields are dropped in this order.
    bars: Vec<(u8, MmioRegion)>,
    device: VfioDevice,
    vectors: Vec<Vector>,
    space: Arc<DmaSpace>,
}

impl Vfio {
    /// Opens the card at this place of the bus.
    ///
    /// # Errors
    /// [`CardError::InUse`] when another process has it; [`CardError::NoDevice`] when there is no such device;
    /// [`CardError::NotOpen`] when it is not bound to vfio-pci, or this user may not open it; [`CardError::Transport`]
    /// when the system refuses what the driver needs.
    pub fn open(address: PciAddress) -> Result<Vfio, CardError> {
        let path = PathBuf::from(format!("/sys/bus/pci/devices/{address}"));
        check_bound(&path, address)?;
        let container = Arc::new(VfioContainer::new(None).map_err(|error| refused(address, &error))?);
        let ops: Arc<dyn VfioOps> = container.clone();
        let device = VfioDevice::new(&path, ops, false).map_err(|error| refused(address, &error))?;
        let fail = |reason: String| CardError::Transport { reason: format!("{address}: {reason}") };
        let bars =
            map_bars(&device).map_err(|error| fail(format!("its registers cannot be mapped: {error}")))?;
        let vectors = connect_vectors(&device).map_err(fail)?;
        let (usable, page_bytes) = iommu_limits(&container).map_err(|error| fail(error.to_string()))?;
        let space = DmaSpace::new(&usable, page_bytes, Arc::new(Iommu(container)));
        let transport = Vfio { address, bars, device, vectors, space };
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

/// Tells apart what an operator must do before a card can be opened.
fn check_bound(path: &Path, address: PciAddress) -> Result<(), CardError> {
    let fail = |reason: String| Err(CardError::NotOpen { card: address.to_string(), reason });
    if !path.exists() {
        return Err(CardError::NoDevice { address });
    }
    let driver = std::fs::read_link(path.join("driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    if driver.as_deref() != Some("vfio-pci") {
        let now = driver.map_or_else(|| "no driver".to_owned(), |name| format!("the driver {name}"));
        return fail(format!("it is bound to {now}; bind it to vfio-pci: kiln card bind vfio:{address}"));
    }
    if !path.join("iommu_group").exists() {
        return fail("it is behind no IOMMU; switch that on in the firmware and the kernel".to_owned());
    }
    Ok(())
}

fn refused(address: PciAddress, error: &VfioError) -> CardError {
    match error {
        VfioError::OpenGroup(source, _)
            if source.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) =>
        {
            CardError::InUse { card: address.to_string(), process: None }
        }
        VfioError::OpenGroup(source, group) if source.kind() == io::ErrorKind::PermissionDenied => {
            let reason = format!(
                "this user may not open /dev/vfio/{group}; kiln card bind vfio:{address} --user NAME"
            );
            CardError::NotOpen { card: address.to_string(), reason }
        }
        other => CardError::Transport { reason: format!("{address}: {other}") },
    }
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

fn connect_vectors(device: &VfioDevice) -> Result<Vec<Vector>, String> {
    let count = device.get_irq_info(VFIO_PCI_MSIX_IRQ_INDEX).map_or(0, |info| info.count);
    if count == 0 {
        return Err("it has no MSI-X vectors".to_owned());
    }
    let vectors: io::Result<Vec<Vector>> = (0..count.min(VECTORS_MAX)).map(|_| Vector::new()).collect();
    let vectors = vectors.map_err(|error| error.to_string())?;
    device.enable_msix(vectors.iter().map(Vector::event).collect()).map_err(|error| error.to_string())?;
    Ok(vectors)
}

/// Addresses that the IOMMU translates, and its page size.
fn iommu_limits(container: &VfioContainer) -> io::Result<(Vec<RangeInclusive<u64>>, u64)> {
    // Double words, so that every field is aligned.
    let mut answer = [0_u64; IOMMU_INFO_BYTES / 8];
    answer[0] = IOMMU_INFO_BYTES as u64;
    // SAFETY: the kernel writes at most as many bytes as the first word says, which is the size of the array.
    let outcome = unsafe { ioctl_with_mut_ptr(container, VFIO_IOMMU_GET_INFO, answer.as_mut_ptr()) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    let bytes: Vec<u8> = answer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Ok(parse_iommu_info(&bytes))
}

/// Reads `struct vfio_iommu_type1_info` and its capability chain. Where the kernel says nothing, 39 bits and small pages.
fn parse_iommu_info(bytes: &[u8]) -> (Vec<RangeInclusive<u64>>, u64) {
    let word =
        |at: usize| bytes.get(at..at + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b));
    let long =
        |at: usize| bytes.get(at..at + 8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b));
    let flags = word(4);
    let sizes = if flags & VFIO_IOMMU_INFO_PGSIZES != 0 { long(8) } else { 0 };
    let page_bytes = if sizes == 0 { PAGE_BYTES } else { (1 << sizes.trailing_zeros()).max(PAGE_BYTES) };
    let mut ranges = Vec::new();
    let mut at = if flags & VFIO_IOMMU_INFO_CAPS != 0 { word(16) as usize } else { 0 };
    // The chain runs upwards, so it has an end.
    while at >= 20 && at + 16 <= bytes.len() {
        if word(at) & 0xffff == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE {
            let count = (word(at + 8) as usize).min(bytes.len() / 16);
            ranges.extend((0..count).map(|index| {
                let pair = at + 16 + 16 * index;
                long(pair)..=long(pair + 8)
            }));
        }
        let next = word(at + 4) as usize;
        at = if next > at { next } else { 0 };
    }
    ranges.retain(|range| range.start() < range.end());
    if ranges.is_empty() {
        ranges.push(0..=(1 << 39) - 1);
    }
    (ranges, page_bytes)
}

/// Maps memory in the IOMMU.
struct Iommu(Arc<VfioContainer>);

impl Mapper for Iommu {
    fn map(&self, iova: u64, memory: &SharedMemory) -> Result<(), CardError> {
        // SAFETY: the memory is mapped at this address now, and the kernel pins its pages until `unmap` has succeeded,
        // so they are nobody else's as long as the card reaches them. This process accesses them by atomic copies only.
        let outcome = unsafe { self.0.vfio_dma_map(iova, memory.length(), memory.address()) };
        let bytes = memory.length() as u64;
        outcome.map_err(|error| CardError::Map { bytes, reason: error.to_string() })
    }

    fn unmap(&self, iova: u64, bytes: u64) -> Result<(), CardError> {
        let outcome = self.0.vfio_dma_unmap(iova, bytes as usize);
        outcome.map_err(|error| CardError::Map { bytes, reason: error.to_string() })
    }
}

impl Transport for Vfio {
    fn name(&self) -> String {
        format!("vfio:{}", self.address)
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
        self.vectors.get(usize::from(vector)).map_or(0, Vector::seen)
    }

    fn wait_interrupt(&self, vector: u16, seen: u64, until: Instant) {
        match self.vectors.get(usize::from(vector)) {
            Some(vector) => vector.wait(seen, until),
            None => std::thread::sleep(until.saturating_duration_since(Instant::now()).min(super::NO_VECTOR)),
        }
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
mod tests {
    use super::*;

    fn info(flags: u32, sizes: u64, chain: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 24];
        bytes[4..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..16].copy_from_slice(&sizes.to_ne_bytes());
        bytes[16..20].copy_from_slice(&24_u32.to_ne_bytes());
        bytes.extend_from_slice(chain);
        bytes
    }

    fn ranges(next: u32, ranges: &[(u64, u64)]) -> Vec<u8> {
        let mut bytes = (VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE | 1 << 16).to_ne_bytes().to_vec();
        bytes.extend(next.to_ne_bytes());
        bytes.extend((ranges.len() as u32).to_ne_bytes());
        bytes.extend([0; 4]);
        for (start, end) in ranges {
            bytes.extend(start.to_ne_bytes());
            bytes.extend(end.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn ranges_and_page_sizes_are_taken_from_the_kernel() {
        let both = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
        let chain = ranges(0, &[(0, 0xfedf_ffff), (0xfef0_0000, (1 << 39) - 1)]);
        let (usable, page) = parse_iommu_info(&info(both, 0x4020_1000, &chain));
        assert_eq!(usable, [0..=0xfedf_ffff, 0xfef0_0000..=(1 << 39) - 1]);
        assert_eq!(page, 4096);
        let (usable, page) = parse_iommu_info(&info(VFIO_IOMMU_INFO_PGSIZES, 0x1_0000, &[]));
        assert_eq!((usable, page), (vec![0..=(1 << 39) - 1], 65536));
    }

    #[test]
    fn a_chain_that_turns_back_or_ends_early_is_left() {
        for chain in [ranges(24, &[(0, 1)]), ranges(4, &[(0, 1)]), ranges(5000, &[(0, 1)]), vec![1; 7]] {
            let (usable, _) = parse_iommu_info(&info(VFIO_IOMMU_INFO_CAPS, 0, &chain));
            assert_eq!(usable.len(), 1);
        }
        assert_eq!(parse_iommu_info(&[]).0.len(), 1);
    }

    #[test]
    fn device_that_is_not_there_is_a_clear_error() {
        let address = PciAddress { domain: 0xffff, bus: 0xff, device: 0x1f, function: 7 };
        let error = Vfio::open(address).map(|_| ()).expect_err("not there").to_string();
        assert!(error.contains("ffff:ff:1f.7") && error.contains("card list"), "{error}");
    }
}
