//! The device's own file, with memory mapped by iommufd.
//!
//! Opening the file touches nothing; the card belongs to this process once the file is *bound* to an iommufd, and does
//! DMA in an I/O address space (IOAS) once it is *attached* to that. Closing the device detaches and unbinds; the
//! address space goes when its last mapping has gone.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use iommufd_bindings::iommufd::{IOMMUFD_CMD_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges, iommu_iova_range};
use iommufd_ioctls::IommuFd;
use kiln_dma::SharedMemory;
use vfio_ioctls::{VfioDevice, VfioError, VfioIommufd};
use vmm_sys_util::ioctl::ioctl_with_mut_ref;

use super::{Limits, Opened, PAGE_BYTES, in_use, not_permitted};
use crate::address::PciAddress;
use crate::error::CardError;
use crate::transport::space::Mapper;

/// `_IO(';', 0x84)`: which addresses an I/O address space can map.
const IOMMU_IOAS_IOVA_RANGES: u64 = (b';' as u64) << 8 | IOMMUFD_CMD_IOAS_IOVA_RANGES as u64;
/// Ranges that are asked for at first. A PC has two or three.
const RANGES: u32 = 64;
/// More ranges than any IOMMU has.
const RANGES_MAX: u32 = 4096;

/// Opens the card's own file, binds it to an iommufd of its own, and attaches it to an address space of its own.
pub(super) fn open(place: PciAddress, device: &Path, iommu: &Path) -> Result<Opened, CardError> {
    let fail = |reason: String| CardError::Transport { reason: format!("{place}: {reason}") };
    let iommufd = Arc::new(IommuFd::new_from_fd(open_file(place, iommu)?));
    let device = open_file(place, device)?;
    let space = VfioIommufd::new(iommufd, None, None).map_err(|error| refused(place, &error))?;
    let space = Arc::new(space);
    // Attached before the ranges are asked for: they are those of the attached devices.
    let device =
        VfioDevice::new_from_fd(device, space.clone(), true).map_err(|error| refused(place, &error))?;
    let limits = iommu_limits(&space)
        .map_err(|error| fail(format!("the IOMMU does not tell its addresses: {error}")))?;
    Ok(Opened { device, limits, mapper: Arc::new(AddressSpace(space)) })
}

fn open_file(place: PciAddress, path: &Path) -> Result<File, CardError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => not_permitted(place, &path.display().to_string()),
        _ => {
            CardError::Transport { reason: format!("{place}: {} cannot be opened: {error}", path.display()) }
        }
    })
}

fn refused(place: PciAddress, error: &VfioError) -> CardError {
    match error {
        // Busy: another process has the card's group. Invalid: another has bound the card's file.
        VfioError::VfioDeviceBindIommufd(source)
            if [rustix::io::Errno::BUSY, rustix::io::Errno::INVAL]
                .iter()
                .any(|errno| errno.raw_os_error() == source.errno()) =>
        {
            in_use(place)
        }
        other => CardError::Transport { reason: format!("{place}: {}", with_causes(other)) },
    }
}

/// An error with what it comes from, because the outer words name no cause.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn iommu_limits(space: &VfioIommufd) -> io::Result<Limits> {
    let mut count = RANGES;
    loop {
        let mut ranges = vec![iommu_iova_range::default(); count as usize];
        let mut request = iommu_ioas_iova_ranges {
            size: size_of::<iommu_ioas_iova_ranges>() as u32,
            ioas_id: space.ioas().id(),
            num_iovas: count,
            allowed_iovas: ranges.as_mut_ptr() as u64,
            ..Default::default()
        };
        // SAFETY: the kernel reads and writes `request`, whose size is in it, and writes at most `num_iovas` ranges to
        // `allowed_iovas`, which is the length of the array there; both outlive the call.
        let outcome =
            unsafe { ioctl_with_mut_ref(space.iommufd().as_ref(), IOMMU_IOAS_IOVA_RANGES, &mut request) };
        if outcome >= 0 {
            ranges.truncate(request.num_iovas as usize);
            return Ok(limits(&ranges, request.out_iova_alignment));
        }
        let error = io::Error::last_os_error();
        let too_many = error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error());
        if !too_many || request.num_iovas <= count || request.num_iovas > RANGES_MAX {
            return Err(error);
        }
        count = request.num_iovas;
    }
}

/// What the driver uses of the kernel's answer: ranges that hold at least a page, in pages of its alignment.
fn limits(ranges: &[iommu_iova_range], alignment: u64) -> Limits {
    let page_bytes = alignment.checked_next_power_of_two().unwrap_or(PAGE_BYTES).max(PAGE_BYTES);
    let usable = ranges.iter().filter(|range| range.start < range.last);
    Limits { usable: usable.map(|range| range.start..=range.last).collect(), page_bytes }
}

/// Maps memory in an I/O address space of iommufd.
struct AddressSpace(Arc<VfioIommufd>);

impl Mapper for AddressSpace {
    fn map(&self, iova: u64, memory: &SharedMemory) -> Result<(), CardError> {
        // SAFETY: the memory is mapped at this address now, and the kernel pins its pages until `unmap` has succeeded,
        // so they are nobody else's as long as the card reaches them. This process accesses them by atomic copies only.
        let outcome = unsafe { self.0.vfio_dma_map(iova, memory.length(), memory.address()) };
        let bytes = memory.length() as u64;
        outcome.map_err(|error| CardError::Map { bytes, reason: with_causes(&error) })
    }

    fn unmap(&self, iova: u64, bytes: u64) -> Result<(), CardError> {
        let outcome = self.0.vfio_dma_unmap(iova, bytes as usize);
        outcome.map_err(|error| CardError::Map { bytes, reason: with_causes(&error) })
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use vmm_sys_util::errno::Error as SystemError;

    fn place() -> PciAddress {
        "0000:41:00.0".parse().expect("an address")
    }

    #[test]
    fn ranges_without_a_page_are_dropped_and_pages_are_at_least_the_iommus() {
        let range = |start, last| iommu_iova_range { start, last };
        let told = [range(0, 0xfedf_ffff), range(0xfef0_0000, (1 << 48) - 1), range(9, 9), range(2, 1)];
        let Limits { usable, page_bytes } = limits(&told, 1);
        assert_eq!(usable, [0..=0xfedf_ffff, 0xfef0_0000..=(1 << 48) - 1]);
        assert_eq!(page_bytes, 4096);
        for (alignment, expected) in
            [(0, 4096), (4096, 4096), (65536, 65536), (65535, 65536), (u64::MAX, 4096)]
        {
            assert_eq!(limits(&told, alignment).page_bytes, expected, "{alignment}");
        }
        assert!(limits(&[], 4096).usable.is_empty());
    }

    #[test]
    fn request_is_laid_out_and_numbered_as_in_the_kernels_header() {
        assert_eq!(IOMMU_IOAS_IOVA_RANGES, 0x3b84);
        assert_eq!(size_of::<iommu_ioas_iova_ranges>(), 32);
        assert_eq!(std::mem::offset_of!(iommu_ioas_iova_ranges, allowed_iovas), 16);
        assert_eq!(size_of::<iommu_iova_range>(), 16);
    }

    #[test]
    fn card_of_another_process_is_told_from_a_kernel_that_refuses() {
        for errno in [rustix::io::Errno::BUSY, rustix::io::Errno::INVAL] {
            let error = VfioError::VfioDeviceBindIommufd(SystemError::new(errno.raw_os_error()));
            assert!(matches!(refused(place(), &error), CardError::InUse { process: None, .. }));
        }
        let error = SystemError::new(rustix::io::Errno::NODEV.raw_os_error());
        let text = refused(place(), &VfioError::VfioDeviceBindIommufd(error)).to_string();
        assert!(text.contains("0000:41:00.0") && text.contains("No such device"), "{text}");
    }

    #[test]
    fn file_that_is_not_there_or_no_iommufd_is_a_clear_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("iommu");
        let text = open(place(), &missing, &missing).map(|_| ()).expect_err("missing").to_string();
        assert!(text.contains("iommu cannot be opened"), "{text}");
        std::fs::write(&missing, "").expect("written");
        let text = open(place(), &missing, &missing).map(|_| ()).expect_err("no iommufd").to_string();
        assert!(text.contains("IOAS") && text.contains("os error 25"), "{text}");
    }
}
