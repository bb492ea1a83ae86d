//! Files used in place: the one module of this crate with unsafe code.
//!
//! A file is mapped, and slices of integers, field elements and points are read from the mapping where they lie. What
//! this rests on, besides what is checked here:
//!
//! - the layout of the types, which is asserted when this is compiled;
//! - that nobody changes or cuts a file while it is mapped. Kiln itself never writes into a file that has its name: it
//!   writes another one and renames it. Whoever cuts a mapped file from outside ends the process (SIGBUS).

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::mem::{align_of, offset_of, size_of};
use std::sync::Arc;

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ff::{BigInt, PrimeField};
use kiln_kernels::Values;
use memmap2::Mmap;
use rayon::prelude::*;

/// Types of which every bit pattern of the right size is a value, and which have no padding.
///
/// # Safety
/// Implementors are such types.
pub(crate) unsafe trait Plain: Copy + Send + Sync + 'static {}

// SAFETY: primitive integers.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: `Fr` has one field that is not zero-sized, a `BigInt<4>`, whose one field is `[u64; 4]`. As its size is that of
// the array (asserted below), nothing else is in it. No invariant of memory hangs on its integer being below r.
unsafe impl Plain for Fr {}

// SAFETY: `G1Affine` has two fields that are not zero-sized, x and y, each an `Fq`, which is a `[u64; 4]` as `Fr` is. As
// its size is that of both (asserted below), nothing else is in it.
unsafe impl Plain for G1Affine {}

const _: () = assert!(size_of::<BigInt<4>>() == 32 && size_of::<Fr>() == 32 && align_of::<Fr>() == 8);
const _: () = assert!(size_of::<Fq>() == 32 && size_of::<G1Affine>() == 64 && align_of::<G1Affine>() == 8);
// The order of the coordinates in a file.
const _: () = assert!(offset_of!(G1Affine, x) == 0 && offset_of!(G1Affine, y) == 32);

/// A file in memory.
pub(crate) struct Mapping(Store);

enum Store {
    File(Mmap),
    /// A copy, and how many bytes of it count. For what does not come from a file.
    Copy(Vec<u64>, usize),
}

impl Mapping {
    /// Maps a file for reading.
    pub fn of_file(file: &File) -> io::Result<Arc<Self>> {
        // SAFETY: the mapping is private and only read; that the file stays as it is, is this module's condition.
        let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? };
        Ok(Arc::new(Self(Store::File(map))))
    }

    /// A copy of bytes, aligned like a mapping.
    pub fn of_bytes(bytes: &[u8]) -> Arc<Self> {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            u64::from_ne_bytes(word)
        });
        Arc::new(Self(Store::Copy(words.collect(), bytes.len())))
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Store::File(map) => map,
            Store::Copy(words, len) => bytes_of(words).get(..*len).unwrap_or_default(),
        }
    }
}

/// A slice of a mapping as values of a type.
pub(crate) struct MappedSlice<T> {
    mapping: Arc<Mapping>,
    /// Of the first value, in bytes: aligned, and `len` values from it lie within the mapping.
    offset: usize,
    len: usize,
    values: PhantomData<T>,
}

impl<T: Plain> MappedSlice<T> {
    /// The values in `bytes` bytes from `offset`; none if they are not aligned, no whole number of values or not all there.
    pub fn new(mapping: Arc<Mapping>, offset: usize, bytes: usize) -> Option<Self> {
        let slice = mapping.bytes().get(offset..offset.checked_add(bytes)?)?;
        let aligned = slice.as_ptr().align_offset(align_of::<T>()) == 0;
        let whole = bytes.is_multiple_of(size_of::<T>());
        let len = bytes / size_of::<T>();
        (aligned && whole).then_some(Self { mapping, offset, len, values: PhantomData })
    }
}

impl<T: Plain> AsRef<[T]> for MappedSlice<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: `new` checked that `len` values from `offset` lie within the mapping and are aligned; the mapping stays
        // where it is and unchanged as long as `self` holds it; every bit pattern is a `T`.
        unsafe { std::slice::from_raw_parts(self.mapping.bytes().as_ptr().add(self.offset).cast(), self.len) }
    }
}

impl<T: Plain> MappedSlice<T> {
    /// As values that kernels take.
    pub fn into_values(self) -> Values<T> {
        Values::lent(Arc::new(self))
    }
}

/// True if all coordinates are reduced, as arithmetic expects them.
pub(crate) fn all_points_reduced(points: &[G1Affine]) -> bool {
    let reduced = |coordinate: &Fq| coordinate.0 < Fq::MODULUS;
    points.par_iter().with_min_len(1 << 12).all(|point| reduced(&point.x) && reduced(&point.y))
}

/// True if all elements are reduced, as arithmetic expects them.
pub(crate) fn all_reduced(elements: &[Fr]) -> bool {
    elements.par_iter().with_min_len(1 << 12).all(|element| element.0 < Fr::MODULUS)
}

/// The bytes of values, as they lie in memory.
pub(crate) fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: plain types have no padding, so all these bytes are initialised, and any byte is a `u8`.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The bytes of field elements, to be written in place.
pub(crate) fn bytes_of_mut(elements: &mut [Fr]) -> &mut [u8] {
    // SAFETY: as for `bytes_of`; whatever is written is a `Fr`, as every bit pattern is, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::AffineRepr;
    use ark_ff::{One, Zero};

    #[test]
    fn slices_come_back_as_they_were_and_only_where_they_fit() {
        let elements = [Fr::zero(), Fr::one(), -Fr::one()];
        let mapping = Mapping::of_bytes(bytes_of(&elements));
        let slice = |offset, bytes| MappedSlice::<Fr>::new(mapping.clone(), offset, bytes);
        assert_eq!(slice(0, 96).unwrap().as_ref(), elements);
        assert_eq!(slice(32, 64).unwrap().as_ref(), &elements[1..]);
        assert_eq!(slice(96, 0).unwrap().as_ref(), []);
        for (offset, bytes) in
            [(4, 32), (0, 31), (0, 128), (96, 32), (97, 0), (usize::MAX, 32), (8, usize::MAX)]
        {
            assert!(slice(offset, bytes).is_none(), "{offset}, {bytes}");
        }
        let numbers = MappedSlice::<i32>::new(mapping, 4, 4).unwrap();
        assert_eq!(numbers.as_ref(), [0]);
    }

    #[test]
    fn bytes_of_any_length_are_copied_whole() {
        let bytes: Vec<u8> = (1..=19).collect();
        for len in 0..=19 {
            assert_eq!(Mapping::of_bytes(&bytes[..len]).bytes(), &bytes[..len]);
        }
    }

    #[test]
    fn points_come_back_and_unreduced_coordinates_are_found() {
        let generator = G1Affine::generator();
        let points = [generator, (generator + generator).into()];
        let mapping = Mapping::of_bytes(bytes_of(&points));
        assert_eq!(MappedSlice::<G1Affine>::new(mapping, 0, 128).unwrap().as_ref(), points);
        assert!(all_points_reduced(&points));
        let modulus = Fq::new_unchecked(Fq::MODULUS);
        for bad in
            [G1Affine::new_unchecked(modulus, generator.y), G1Affine::new_unchecked(generator.x, modulus)]
        {
            assert!(!all_points_reduced(&[generator, bad]));
        }
    }

    #[test]
    fn elements_at_and_above_the_modulus_are_not_reduced() {
        let raw = |limbs: [u64; 4]| Fr::new_unchecked(BigInt(limbs));
        let mut below = Fr::MODULUS.0;
        below[0] -= 1;
        assert!(all_reduced(&[raw(below), Fr::zero()]));
        assert!(!all_reduced(&[Fr::zero(), raw(Fr::MODULUS.0)]));
        assert!(!all_reduced(&[raw([u64::MAX; 4])]));
    }
}
