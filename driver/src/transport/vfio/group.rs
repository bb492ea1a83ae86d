//! The group interface: a container with the type 1 version 2 IOMMU driver.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use kiln_dma::SharedMemory;
use vfio_bindings::bindings::vfio::{
    VFIO_IOMMU_INFO_CAPS, VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
};
use vfio_ioctls::{VfioContainer, VfioDevice, VfioError, VfioOps};
use vmm_sys_util::ioctl::ioctl_with_mut_ptr;

use super::interface::device_folder;
use super::{Limits, Opened, PAGE_BYTES, in_use, not_permitted};
use crate::address::PciAddress;
use crate::error::CardError;
use crate::transport::space::Mapper;

/// `_IO(';', 100 + 12)`: what the IOMMU can translate.
const VFIO_IOMMU_GET_INFO: u64 = 0x3b70;
/// Room for its answer. \[bytes\]
const IOMMU_INFO_BYTES: usize = 4096;

/// Opens the card's group and takes the card out of it.
pub(super) fn open(root: &std::path::Path, place: PciAddress) -> Result<Opened, CardError> {
    let refused = |error: VfioError| refused(place, &error);
    let container = Arc::new(VfioContainer::new(None).map_err(refused)?);
    let ops: Arc<dyn VfioOps> = container.clone();
    let device = VfioDevice::new(&device_folder(root, place), ops, false).map_err(refused)?;
    let limits = iommu_limits(&container)
        .map_err(|error| CardError::Transport { reason: format!("{place}: {error}") })?;
    Ok(Opened { device, limits, mapper: Arc::new(Container(container)) })
}

fn refused(place: PciAddress, error: &VfioError) -> CardError {
    match error {
        VfioError::OpenGroup(source, _)
            if source.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) =>
        {
            in_use(place)
        }
        VfioError::OpenGroup(source, group) if source.kind() == io::ErrorKind::PermissionDenied => {
            not_permitted(place, &format!("/dev/vfio/{group}"))
        }
        other => CardError::Transport { reason: format!("{place}: {other}") },
    }
}

/// Addresses that the IOMMU translates, and its page size.
fn iommu_limits(container: &VfioContainer) -> io::Result<Limits> {
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
fn parse_iommu_info(bytes: &[u8]) -> Limits {
    let word =
        |at: usize| bytes.get(at..at + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b));
    let long =
        |at: usize| bytes.get(at..at + 8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b));
    let flags = word(4);
    let sizes = if flags & VFIO_IOMMU_INFO_PGSIZES != 0 { long(8) } else { 0 };
    let page_bytes = if sizes == 0 { PAGE_BYTES } else { (1 << sizes.trailing_zeros()).max(PAGE_BYTES) };
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
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
    Limits { usable: ranges, page_bytes }
}

/// Maps memory in the IOMMU of the container.
struct Container(Arc<VfioContainer>);

impl Mapper for Container {
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

#[cfg(test)]
#[cfg(not(loom))]
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
        let Limits { usable, page_bytes } = parse_iommu_info(&info(both, 0x4020_1000, &chain));
        assert_eq!(usable, [0..=0xfedf_ffff, 0xfef0_0000..=(1 << 39) - 1]);
        assert_eq!(page_bytes, 4096);
        let Limits { usable, page_bytes } = parse_iommu_info(&info(VFIO_IOMMU_INFO_PGSIZES, 0x1_0000, &[]));
        assert_eq!((usable, page_bytes), (vec![0..=(1 << 39) - 1], 65536));
    }

    #[test]
    fn a_chain_that_turns_back_or_ends_early_is_left() {
        for chain in [ranges(24, &[(0, 1)]), ranges(4, &[(0, 1)]), ranges(5000, &[(0, 1)]), vec![1; 7]] {
            let Limits { usable, .. } = parse_iommu_info(&info(VFIO_IOMMU_INFO_CAPS, 0, &chain));
            assert_eq!(usable.len(), 1);
        }
        assert_eq!(parse_iommu_info(&[]).usable.len(), 1);
    }
}
