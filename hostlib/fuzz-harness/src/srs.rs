//! Files of reference strings: our own format and ceremonies' `.ptau`.
//!
//! Promises: no panic; memory bounded by the length of the file; what is accepted in our own format is written again as the
//! same bytes; what is accepted of a ceremony file has the τ of its `[τ]_2`.

use std::fs;
use std::path::Path;

use kiln_plonk::{Ptau, Silent, Srs};

use crate::bounded;
use crate::edits::{self, Words};
use crate::proof::script;
use crate::samples::{SrsFile, srs_files, written_srs};
use crate::sections;

/// Words of a ceremony file do not lie on one grid.
const PTAU_WORDS: Words = Words { first: 0, stride: 4 };

/// Memory that a file may take: so much (a chunk of a ceremony file is read at a time), and so much for each byte.
const MEMORY_BYTES: usize = 16 << 20;
const MEMORY_PER_BYTE: usize = 64;

/// Bits of the first byte: the file as it is, or a script; whether lengths and checksums are made to fit.
const RAW: u8 = 0x80;
const UNSEALED: u8 = 0x40;

/// The target.
pub fn run(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let files = srs_files();
    let valid = &files[usize::from(first & 0x0f) % files.len()];
    let bytes = if first & RAW != 0 { rest.to_vec() } else { edited(valid, rest, first & UNSEALED == 0) };
    // A file of its own for each input: several processes may run at once.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &bytes).unwrap();
    let bound = MEMORY_BYTES + MEMORY_PER_BYTE * bytes.len();
    if valid.ptau { read_ptau(file.path(), bound, valid.k) } else { read_own(file.path(), bound, &bytes) }
}

fn edited(valid: &SrsFile, script: &[u8], seal: bool) -> Vec<u8> {
    let mut bytes = valid.bytes.clone();
    if valid.ptau {
        edits::apply(&mut bytes, PTAU_WORDS, script);
        return bytes;
    }
    edits::apply(&mut bytes, sections::WORDS, script);
    if seal {
        sections::seal(&mut bytes);
    }
    bytes
}

fn read_own(path: &Path, bound: usize, bytes: &[u8]) {
    if let Ok(srs) = bounded(bound, || Srs::read_from(path)) {
        assert!(written_srs(&srs) == bytes, "what is read is written as other bytes");
    }
}

fn read_ptau(path: &Path, bound: usize, k: u32) {
    let read = || {
        let ptau = Ptau::open(path).ok()?;
        let fingerprint = ptau.fingerprint();
        ptau.read_srs(k, &Silent).ok().map(|srs| (fingerprint, srs))
    };
    if let Some((fingerprint, srs)) = bounded(bound, read) {
        assert_eq!(srs.verifier().fingerprint(), fingerprint, "a string with another τ");
        assert!(!srs.is_insecure());
    }
}

/// Files and changes.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, file) in (0u8..).zip(srs_files()) {
        seeds.push([&[RAW | number], file.bytes.as_slice()].concat());
        for kind in [number, UNSEALED | number] {
            seeds.push(vec![kind]);
            seeds.extend((0..16).map(|what| script(kind, what)));
        }
    }
    seeds
}
