//! Columns on disk, for as long as a proof takes.
//!
//! The file has no name: it is unlinked when it is made, readable by its owner alone, and gone when the process ends, however
//! it ends. What stands in it is a secret, so it is encrypted with ChaCha20, a stream for each column, under a key that is
//! drawn for this proof, stays in memory and is wiped. So whatever is left on the disk says nothing. Nothing protects
//! it from being changed: that only spoils the proof, which is verified before it leaves.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ark_bn254::Fr;
use ark_ff::Zero;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::mapped::{all_reduced, bytes_of, bytes_of_mut};

/// What is encrypted at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// A word of the cipher's position is four bytes.
const CHUNK_WORDS: u128 = (CHUNK_BYTES / 4) as u128;

/// A file for columns.
pub(super) struct SpillFile {
    file: File,
    key: Zeroizing<[u8; 32]>,
    end: u64,
    streams: u64,
}

/// A column on disk.
#[derive(Clone)]
pub(super) struct Spilled {
    offset: u64,
    stream: u64,
    /// Elements.
    len: usize,
}

impl Spilled {
    /// Elements of the column.
    pub fn len(&self) -> usize {
        self.len
    }
}

impl SpillFile {
    /// Makes a file without a name in a directory, and a key for it that the operating system draws.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { file: tempfile::tempfile_in(directory)?, key, end: 0, streams: 0 })
    }

    /// Appends a column.
    pub fn store(&mut self, elements: &[Fr]) -> io::Result<Spilled> {
        let (bytes, offset, stream) = (bytes_of(elements), self.end, self.streams);
        bytes.par_chunks(CHUNK_BYTES).enumerate().try_for_each(|(chunk, plain)| {
            let mut bytes = plain.to_vec();
            self.mask(stream, chunk, &mut bytes);
            self.file.write_all_at(&bytes, offset + (chunk * CHUNK_BYTES) as u64)
        })?;
        self.end += bytes.len() as u64;
        self.streams += 1;
        Ok(Spilled { offset, stream, len: elements.len() })
    }

    /// Reads a column back.
    pub fn load(&self, column: &Spilled) -> io::Result<Vec<Fr>> {
        let mut elements = vec![Fr::zero(); column.len];
        let read = bytes_of_mut(&mut elements).par_chunks_mut(CHUNK_BYTES).enumerate().try_for_each(
            |(chunk, bytes)| {
                self.file.read_exact_at(bytes, column.offset + (chunk * CHUNK_BYTES) as u64)?;
                self.mask(column.stream, chunk, bytes);
                Ok(())
            },
        );
        if read.is_ok() && !all_reduced(&elements) {
            elements.zeroize();
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a column came back changed from the disk",
            ));
        }
        read.map(|()| elements)
    }

    /// Adds the key stream of a chunk of a column: encrypts and decrypts.
    fn mask(&self, stream: u64, chunk: usize, bytes: &mut [u8]) {
        let mut cipher = ChaCha20Rng::from_seed(*self.key);
        cipher.set_stream(stream);
        cipher.set_word_pos(chunk as u128 * CHUNK_WORDS);
        let mut mask = vec![0; bytes.len()];
        cipher.fill_bytes(&mut mask);
        bytes.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
        mask.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn columns() -> Vec<Vec<Fr>> {
        [0, 1, 5, CHUNK_BYTES / 32, 2 * CHUNK_BYTES / 32 + 3]
            .map(|len| (0..len as u64).map(|i| -Fr::from(i * i)).collect())
            .to_vec()
    }

    fn spill() -> (tempfile::TempDir, SpillFile, Vec<Spilled>) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = SpillFile::new(folder.path()).unwrap();
        let stored = columns().iter().map(|column| file.store(column).unwrap()).collect();
        (folder, file, stored)
    }

    #[test]
    fn columns_come_back_in_any_order() {
        let (_folder, file, stored) = spill();
        for (column, stored) in columns().iter().zip(&stored).rev() {
            assert!(file.load(stored).unwrap() == *column);
        }
    }

    #[test]
    fn the_file_has_no_name_and_no_plain_value() {
        let (folder, mut file, stored) = spill();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut bytes = Vec::new();
        std::io::Seek::rewind(&mut file.file).unwrap();
        file.file.read_to_end(&mut bytes).unwrap();
        let plain = columns().concat();
        assert_eq!(bytes.len(), 32 * plain.len());
        assert!(bytes.chunks(32).zip(&plain).all(|(got, element)| got != bytes_of(&[*element])));
        // The same column twice does not look the same.
        let again = file.store(&columns()[2]).unwrap();
        assert_ne!((again.offset, again.stream), (stored[2].offset, stored[2].stream));
        let at = |spilled: &Spilled| {
            let mut bytes = vec![0; 32 * spilled.len()];
            file.file.read_exact_at(&mut bytes, spilled.offset).unwrap();
            bytes
        };
        assert_ne!(at(&again), at(&stored[2]));
    }

    #[test]
    fn what_the_disk_changed_is_an_error_or_another_number_but_never_unreduced() {
        let (_folder, file, stored) = spill();
        let column = &stored[2];
        for at in 0..32 * column.len() {
            let mut byte = [0];
            file.file.read_exact_at(&mut byte, column.offset + at as u64).unwrap();
            file.file.write_all_at(&[byte[0] ^ 0xff], column.offset + at as u64).unwrap();
            assert!(
                file.load(column).is_ok_and(|elements| all_reduced(&elements)) || file.load(column).is_err()
            );
        }
    }
}
