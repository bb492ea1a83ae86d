//! Card memory: as large as the profile says, held only where something was written.

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInt, PrimeField};
use std::collections::HashMap;
use thiserror::Error;
use zeroize::Zeroize;

use crate::msm::point::Base;

const PAGE_BYTES: u64 = 1 << 16;
const ELEMENT_BYTES: usize = 32;
const POINT_BYTES: usize = 64;
/// Points decoded from one buffer.
const POINTS_AT_ONCE: usize = 64;

/// Why an access to card memory failed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MemoryFault {
    /// The range ends beyond the memory.
    #[error(
        "{length} bytes at card address {address:#x} end beyond the card's {size} bytes; check the addresses"
    )]
    OutOfRange {
        /// First byte.
        address: u64,
        /// Length. \[bytes\]
        length: u64,
        /// Size of the memory. \[bytes\]
        size: u64,
    },
    /// A word that should be a field element is not below the modulus.
    #[error("no field element at card address {address:#x}; write the vector before it is used")]
    NotAnElement {
        /// Where.
        address: u64,
    },
}

/// Sparse memory; what was never written reads zero.
#[derive(Debug, Default)]
pub struct CardMemory {
    size: u64,
    pages: HashMap<u64, Box<[u8]>>,
}

impl CardMemory {
    /// Memory of `size` bytes, all zero.
    pub fn new(size: u64) -> CardMemory {
        CardMemory { size, pages: HashMap::new() }
    }

    /// Its size. \[bytes\]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Forgets everything, and erases it: it may be part of a witness.
    pub fn clear(&mut self) {
        self.pages.values_mut().for_each(|page| page.zeroize());
        self.pages.clear();
    }

    /// Refuses a range that ends beyond the memory.
    pub fn check(&self, address: u64, length: u64) -> Result<(), MemoryFault> {
        match address.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(MemoryFault::OutOfRange { address, length, size: self.size }),
        }
    }

    /// Fills `bytes` from `address`.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        self.check(address, bytes.len() as u64)?;
        for_pages(address, bytes.len(), |page, offset, range| {
            let part = &mut bytes[range];
            match self.pages.get(&page) {
                Some(held) => part.copy_from_slice(&held[offset..offset + part.len()]),
                None => part.fill(0),
            }
        });
        Ok(())
    }

    /// Writes `bytes` at `address`.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        self.check(address, bytes.len() as u64)?;
        for_pages(address, bytes.len(), |page, offset, range| {
            let held =
                self.pages.entry(page).or_insert_with(|| vec![0; PAGE_BYTES as usize].into_boxed_slice());
            held[offset..offset + range.len()].copy_from_slice(&bytes[range]);
        });
        Ok(())
    }

    /// Fills `elements` from `address`.
    pub fn read_elements(&self, address: u64, elements: &mut [Fr]) -> Result<(), MemoryFault> {
        let length = elements.len() * ELEMENT_BYTES;
        self.check(address, length as u64)?;
        let mut bad = None;
        let mut raw = [0; ELEMENT_BYTES];
        if !address.is_multiple_of(ELEMENT_BYTES as u64) {
            for (index, element) in (0u64..).zip(elements) {
                let at = address + 32 * index;
                self.read(at, &mut raw)?;
                *element = scalar(&raw).ok_or(MemoryFault::NotAnElement { address: at })?;
            }
            return Ok(());
        }
        for_pages(address, length, |page, offset, range| {
            let first = range.start / ELEMENT_BYTES;
            let part = &mut elements[first..range.end / ELEMENT_BYTES];
            let Some(held) = self.pages.get(&page) else { return part.fill(Fr::default()) };
            let words = held[offset..offset + range.len()].as_chunks::<ELEMENT_BYTES>().0;
            for (index, (element, word)) in part.iter_mut().zip(words).enumerate() {
                match scalar(word) {
                    Some(value) => *element = value,
                    None => bad = bad.or(Some(address + ((first + index) * ELEMENT_BYTES) as u64)),
                }
            }
        });
        bad.map_or(Ok(()), |address| Err(MemoryFault::NotAnElement { address }))
    }

    /// Reads `length` elements from `address`.
    pub fn elements(&self, address: u64, length: u64) -> Result<Vec<Fr>, MemoryFault> {
        self.check(address, length.saturating_mul(ELEMENT_BYTES as u64))?;
        let mut elements = vec![Fr::default(); length as usize];
        self.read_elements(address, &mut elements)?;
        Ok(elements)
    }

    /// Writes elements at `address`.
    pub fn write_elements(&mut self, address: u64, elements: &[Fr]) -> Result<(), MemoryFault> {
        self.check(address, (elements.len() * ELEMENT_BYTES) as u64)?;
        let mut buffer = [0u8; 128 * ELEMENT_BYTES];
        let mut at = address;
        for part in elements.chunks(128) {
            let bytes = &mut buffer[..part.len() * ELEMENT_BYTES];
            for (word, element) in bytes.as_chunks_mut::<ELEMENT_BYTES>().0.iter_mut().zip(part) {
                *word = scalar_bytes(element);
            }
            self.write(at, bytes)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Reads `length` points from `address`. Coordinates were checked when the points were loaded.
    pub fn points(&self, address: u64, length: u64) -> Result<Vec<Base>, MemoryFault> {
        self.check(address, length.saturating_mul(POINT_BYTES as u64))?;
        let mut points = Vec::with_capacity(length as usize);
        let mut raw = [0; POINTS_AT_ONCE * POINT_BYTES];
        while (points.len() as u64) < length {
            let at = address + (points.len() * POINT_BYTES) as u64;
            let count = POINTS_AT_ONCE.min(length as usize - points.len());
            self.read(at, &mut raw[..count * POINT_BYTES])?;
            for (index, word) in (0u64..).zip(raw.as_chunks::<POINT_BYTES>().0.iter().take(count)) {
                points.push(point(word).ok_or(MemoryFault::NotAnElement { address: at + 64 * index })?);
            }
        }
        Ok(points)
    }
}

impl Drop for CardMemory {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Calls `visit(page, offset in page, range of the buffer)` for every page of a range.
fn for_pages(address: u64, length: usize, mut visit: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < length {
        let at = address + done as u64;
        let offset = (at % PAGE_BYTES) as usize;
        let part = (length - done).min(PAGE_BYTES as usize - offset);
        visit(at / PAGE_BYTES, offset, done..done + part);
        done += part;
    }
}

/// A scalar from its limbs in Montgomery form; none if they are not below the modulus.
pub fn scalar(bytes: &[u8; ELEMENT_BYTES]) -> Option<Fr> {
    let limbs = limbs(bytes);
    (limbs < Fr::MODULUS).then(|| Fr::new_unchecked(limbs))
}

/// The limbs of a scalar in Montgomery form.
pub fn scalar_bytes(scalar: &Fr) -> [u8; ELEMENT_BYTES] {
    limb_bytes(&scalar.0)
}

/// A point from its coordinates in Montgomery form; none if one of them is not below the modulus.
pub fn point(bytes: &[u8; POINT_BYTES]) -> Option<Base> {
    let coordinate = |half: &[u8; ELEMENT_BYTES]| {
        let limbs = limbs(half);
        (limbs < Fq::MODULUS).then(|| Fq::new_unchecked(limbs))
    };
    match bytes.as_chunks::<ELEMENT_BYTES>().0 {
        [x, y] => Some(Base { x: coordinate(x)?, y: coordinate(y)? }),
        _ => None,
    }
}

/// The coordinates of a point in Montgomery form.
pub fn point_bytes(point: &Base) -> [u8; POINT_BYTES] {
    let mut bytes = [0; POINT_BYTES];
    bytes[..ELEMENT_BYTES].copy_from_slice(&limb_bytes(&point.x.0));
    bytes[ELEMENT_BYTES..].copy_from_slice(&limb_bytes(&point.y.0));
    bytes
}

fn limbs(bytes: &[u8; ELEMENT_BYTES]) -> BigInt<4> {
    let mut limbs = [0; 4];
    for (limb, word) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*word);
    }
    BigInt(limbs)
}

fn limb_bytes(limbs: &BigInt<4>) -> [u8; ELEMENT_BYTES] {
    let mut bytes = [0; ELEMENT_BYTES];
    for (word, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(limbs.0) {
        *word = limb.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::UniformRand;

    #[test]
    fn bytes_survive_page_boundaries_and_unwritten_ones_are_zero() {
        let mut memory = CardMemory::new(1 << 34);
        let data: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
        memory.write(PAGE_BYTES - 5, &data).unwrap();
        let mut back = vec![1; data.len() + 10];
        memory.read(PAGE_BYTES - 10, &mut back).unwrap();
        assert_eq!(&back[..5], &[0; 5]);
        assert_eq!(&back[5..5 + data.len()], &data[..]);
        assert_eq!(&back[5 + data.len()..], &[0; 5]);
    }

    #[test]
    fn elements_survive_page_boundaries() {
        let mut memory = CardMemory::new(1 << 30);
        let mut rng = ark_std::test_rng();
        let elements: Vec<Fr> = (0..3000).map(|_| Fr::rand(&mut rng)).collect();
        for address in [PAGE_BYTES - 64, 3 * PAGE_BYTES + 8] {
            memory.write_elements(address, &elements).unwrap();
            assert_eq!(memory.elements(address, 3000).unwrap(), elements);
        }
    }

    #[test]
    fn ranges_beyond_the_end_are_refused() {
        let mut memory = CardMemory::new(1 << 20);
        assert!(memory.write((1 << 20) - 1, &[1]).is_ok());
        for (address, length) in [((1 << 20) - 1, 2), (1 << 20, 1), (u64::MAX, 2)] {
            assert!(matches!(memory.check(address, length), Err(MemoryFault::OutOfRange { .. })));
        }
        assert!(memory.elements(0, u64::MAX / 8).is_err() && memory.points(0, u64::MAX).is_err());
    }

    #[test]
    fn words_beyond_the_modulus_are_no_elements() {
        let mut memory = CardMemory::new(1 << 20);
        memory.write(64, &[0xff; 32]).unwrap();
        assert_eq!(memory.elements(0, 4), Err(MemoryFault::NotAnElement { address: 64 }));
        assert!(memory.points(0, 2).is_err());
        memory.write(64, &limb_bytes(&Fr::MODULUS)).unwrap();
        assert_eq!(memory.elements(64, 1), Err(MemoryFault::NotAnElement { address: 64 }));
    }
}
