//! Files whose parts are used in place: a header, and sections that start on pages.
//!
//! magic, 8 bytes | version u32 | file length u64 | head length u32 | number of sections u32 | head | for each section: form u32,
//! length u64, Keccak-256 of its content | Keccak-256 of all before | zeros up to the page | sections, each followed by zeros up to
//! the page. Integers are big-endian; what a section holds is as it lies in the memory of a little-endian machine.
//!
//! Opening reads the header alone, so it takes the same time whatever the sections hold. Their checksums are compared when
//! somebody asks for it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use sha3::{Digest, Keccak256};
use thiserror::Error;

use crate::mapped::{MappedSlice, Mapping, Plain, bytes_of};

/// Sections start at multiples of this, which is a multiple of any page that matters here and of all alignments.
pub(crate) const PAGE_BYTES: usize = 4096;

const MAGIC_BYTES: usize = 8;
const FIXED_BYTES: usize = MAGIC_BYTES + 4 + 8 + 4 + 4;
const ENTRY_BYTES: usize = 4 + 8 + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 32;

/// A kind of file.
pub(crate) struct Kind {
    pub magic: [u8; MAGIC_BYTES],
    pub name: &'static str,
    pub version: u32,
}

/// Why a file of sections cannot be used.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields say what their names say")]
pub enum SectionError {
    /// The file cannot be read or written.
    #[error("cannot read or write the {what}; check the path and the disk")]
    Io { what: &'static str, source: io::Error },
    /// The file is something else.
    #[error("this is not a {expected}; give the right file")]
    AnotherKind { expected: &'static str },
    /// The file was written by another version.
    #[error("the {what} has version {got}, expected {expected}; make it again with this version")]
    UnknownVersion { what: &'static str, expected: u32, got: u32 },
    /// The file ends early.
    #[error("the {what} is truncated: expected {expected} bytes, got {got}; copy or make it again")]
    Truncated { what: &'static str, expected: u64, got: u64 },
    /// The file goes on after its end.
    #[error("the {what} is too long: expected {expected} bytes, got {got}; copy or make it again")]
    TooLong { what: &'static str, expected: u64, got: u64 },
    /// The header's checksum does not match.
    #[error("the {what} is corrupted: the checksum of its header does not match; copy or make it again")]
    Header { what: &'static str },
    /// A section's checksum does not match.
    #[error(
        "the {what} is corrupted: the checksum of section {section} does not match; copy or make it again"
    )]
    Corrupted { what: &'static str, section: usize },
    /// A section is not what it should be.
    #[error("the {what} is malformed: section {section} {problem}; make it again")]
    Malformed { what: &'static str, section: usize, problem: String },
    /// The machine orders bytes the other way.
    #[error("the {what} is for little-endian machines, which this is not; prove on another machine")]
    ByteOrder { what: &'static str },
}

/// A section, as the header announces it.
#[derive(Clone, Debug)]
struct Entry {
    form: u32,
    offset: usize,
    bytes: usize,
    checksum: [u8; CHECKSUM_BYTES],
}

/// An open file.
#[derive(Clone)]
pub(crate) struct Sections {
    kind: &'static Kind,
    mapping: Arc<Mapping>,
    head: Vec<u8>,
    entries: Vec<Entry>,
}

impl Sections {
    /// Maps a file and checks its header.
    pub fn open(kind: &'static Kind, path: &Path) -> Result<Self, SectionError> {
        let in_file = |source| SectionError::Io { what: kind.name, source };
        let file = File::open(path).map_err(in_file)?;
        // An empty file cannot be mapped on every system.
        if file.metadata().map_err(in_file)?.len() == 0 {
            return Err(SectionError::AnotherKind { expected: kind.name });
        }
        Self::new(kind, Mapping::of_file(&file).map_err(in_file)?)
    }

    /// Reads to the end of the input, and checks the header. Takes as much memory as there are bytes.
    pub fn read(kind: &'static Kind, mut input: impl Read) -> Result<Self, SectionError> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(|source| SectionError::Io { what: kind.name, source })?;
        Self::new(kind, Mapping::of_bytes(&bytes))
    }

    fn new(kind: &'static Kind, mapping: Arc<Mapping>) -> Result<Self, SectionError> {
        let what = kind.name;
        if cfg!(target_endian = "big") {
            return Err(SectionError::ByteOrder { what });
        }
        let (head, entries) = parse_header(kind, mapping.bytes())?;
        Ok(Self { kind, mapping, head, entries })
    }

    /// The header's checksum, which covers those of all sections: names the content once [`Sections::check`] passed.
    pub fn digest(&self) -> [u8; CHECKSUM_BYTES] {
        let end = header_bytes(self.head.len(), self.entries.len()).unwrap_or_default();
        let header = self.mapping.bytes().get(..end).unwrap_or_default();
        header.last_chunk().copied().unwrap_or_default()
    }

    /// What the header holds besides the table of sections.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// How many sections there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The form of a section: a number that the writer chose.
    pub fn form(&self, section: usize) -> Option<u32> {
        self.entries.get(section).map(|entry| entry.form)
    }

    /// A section as values of a type; as many as there must be.
    pub fn slice<T: Plain>(&self, section: usize, expected: usize) -> Result<MappedSlice<T>, SectionError> {
        let slice = self
            .entries
            .get(section)
            .and_then(|entry| MappedSlice::new(self.mapping.clone(), entry.offset, entry.bytes));
        let got = slice.as_ref().map(|slice: &MappedSlice<T>| slice.as_ref().len());
        match slice {
            Some(slice) if got == Some(expected) => Ok(slice),
            _ => {
                let got = got.map_or("none".to_owned(), |got| got.to_string());
                Err(self.malformed(section, format!("should hold {expected} values and holds {got}")))
            }
        }
    }

    /// The bytes of a section, once its checksum was compared.
    pub fn checked_bytes(&self, section: usize) -> Result<&[u8], SectionError> {
        let entry = self.entries.get(section).ok_or_else(|| self.malformed(section, "is missing".into()))?;
        let content = self.content(entry);
        if Keccak256::digest(content).as_slice() != entry.checksum {
            return Err(SectionError::Corrupted { what: self.kind.name, section });
        }
        Ok(content)
    }

    /// Compares all checksums, and that nothing is hidden between the sections. Reads the whole file.
    pub fn check(&self) -> Result<(), SectionError> {
        (0..self.entries.len())
            .into_par_iter()
            .try_for_each(|section| self.checked_bytes(section).map(drop))?;
        let mut end = header_bytes(self.head.len(), self.entries.len()).unwrap_or_default();
        let nothing_at_end =
            Entry { form: 0, offset: self.mapping.bytes().len(), bytes: 0, checksum: [0; 32] };
        for (section, entry) in self.entries.iter().chain([&nothing_at_end]).enumerate() {
            let gap = self.mapping.bytes().get(end..entry.offset).unwrap_or_default();
            if gap.iter().any(|byte| *byte != 0) {
                return Err(self.malformed(section, "follows bytes that are not zero".into()));
            }
            end = entry.offset + entry.bytes;
        }
        Ok(())
    }

    /// Says that a section is not what it should be.
    pub fn malformed(&self, section: usize, problem: String) -> SectionError {
        SectionError::Malformed { what: self.kind.name, section, problem }
    }

    fn content(&self, entry: &Entry) -> &[u8] {
        self.mapping.bytes().get(entry.offset..entry.offset + entry.bytes).unwrap_or_default()
    }
}

/// Bytes of the header, up to its checksum and with it.
fn header_bytes(head: usize, sections: usize) -> Option<usize> {
    let table = sections.checked_mul(ENTRY_BYTES)?;
    FIXED_BYTES.checked_add(head)?.checked_add(table)?.checked_add(CHECKSUM_BYTES)
}

fn next_page(offset: usize) -> Option<usize> {
    offset.checked_next_multiple_of(PAGE_BYTES)
}

/// Parses a header. Allocates no more than the header's own size, which is checked against the bytes that are there.
fn parse_header(kind: &Kind, bytes: &[u8]) -> Result<(Vec<u8>, Vec<Entry>), SectionError> {
    let what = kind.name;
    let truncated = |expected: usize| SectionError::Truncated {
        what,
        expected: expected as u64,
        got: bytes.len() as u64,
    };
    if !bytes.starts_with(&kind.magic) {
        return Err(SectionError::AnotherKind { expected: what });
    }
    let mut fields = Fields(bytes.get(MAGIC_BYTES..).unwrap_or_default());
    let version = fields.u32().ok_or_else(|| truncated(FIXED_BYTES))?;
    if version != kind.version {
        return Err(SectionError::UnknownVersion { what, expected: kind.version, got: version });
    }
    let lengths = fields.u64().zip(fields.u32()).zip(fields.u32());
    let ((length, head), count) = lengths.ok_or_else(|| truncated(FIXED_BYTES))?;
    let got = bytes.len() as u64;
    if length > got {
        return Err(SectionError::Truncated { what, expected: length, got });
    }
    if length < got {
        return Err(SectionError::TooLong { what, expected: length, got });
    }
    let corrupted = || SectionError::Header { what };
    let end = header_bytes(head as usize, count as usize).ok_or_else(corrupted)?;
    let header = bytes.get(..end).ok_or_else(corrupted)?;
    let (content, checksum) = header.split_at(end - CHECKSUM_BYTES);
    if Keccak256::digest(content).as_slice() != checksum {
        return Err(corrupted());
    }
    let head = fields.take(head as usize).ok_or_else(corrupted)?.to_vec();
    let mut entries = Vec::with_capacity(count as usize);
    let mut offset = end;
    for _ in 0..count {
        let entry = fields.entry(&mut offset).ok_or_else(corrupted)?;
        entries.push(entry);
    }
    match next_page(offset) {
        Some(end) if end == bytes.len() => Ok((head, entries)),
        _ => Err(corrupted()),
    }
}

/// The fields of a header, one after the other; none once they have run out.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The next section, on the page that follows `end`, which moves to its end.
    fn entry(&mut self, end: &mut usize) -> Option<Entry> {
        let (form, bytes) = (self.u32()?, usize::try_from(self.u64()?).ok()?);
        let checksum = self.take(CHECKSUM_BYTES)?.try_into().ok()?;
        let offset = next_page(*end)?;
        *end = offset.checked_add(bytes)?;
        Some(Entry { form, offset, bytes, checksum })
    }
}

/// Writes a file, section by section.
pub(crate) struct SectionWriter<W: Write + Seek> {
    kind: &'static Kind,
    out: W,
    head: Vec<u8>,
    count: usize,
    at: usize,
    table: Vec<u8>,
}

impl<W: Write + Seek> SectionWriter<W> {
    /// Starts a file that will have `count` sections.
    pub fn new(kind: &'static Kind, out: W, head: Vec<u8>, count: usize) -> Result<Self, SectionError> {
        let mut writer = Self { kind, out, head, count, at: 0, table: Vec::new() };
        let header = header_bytes(writer.head.len(), count).unwrap_or_default();
        writer.zeros(header)?;
        writer.fill_page()?;
        Ok(writer)
    }

    /// Writes the next section, in pieces.
    pub fn section<'p, T: Plain>(
        &mut self,
        form: u32,
        pieces: impl IntoIterator<Item = &'p [T]>,
    ) -> Result<(), SectionError> {
        let (start, mut hash) = (self.at, Keccak256::new());
        for piece in pieces {
            let bytes = bytes_of(piece);
            hash.update(bytes);
            self.bytes(bytes)?;
        }
        self.table.extend(form.to_be_bytes());
        self.table.extend(((self.at - start) as u64).to_be_bytes());
        self.table.extend(hash.finalize());
        self.fill_page()
    }

    /// Writes the header and gives the output back.
    pub fn finish(mut self) -> Result<W, SectionError> {
        let mut header = self.kind.magic.to_vec();
        header.extend(self.kind.version.to_be_bytes());
        header.extend((self.at as u64).to_be_bytes());
        header.extend((self.head.len() as u32).to_be_bytes());
        header.extend((self.count as u32).to_be_bytes());
        header.extend(&self.head);
        header.extend(&self.table);
        let checksum = Keccak256::digest(&header);
        header.extend(checksum);
        let in_file = |source| SectionError::Io { what: self.kind.name, source };
        self.out.seek(SeekFrom::Start(0)).map_err(in_file)?;
        self.out.write_all(&header).and_then(|()| self.out.flush()).map_err(in_file)?;
        Ok(self.out)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), SectionError> {
        self.at += bytes.len();
        self.out.write_all(bytes).map_err(|source| SectionError::Io { what: self.kind.name, source })
    }

    fn zeros(&mut self, mut count: usize) -> Result<(), SectionError> {
        while count > 0 {
            let some = count.min(PAGE_BYTES);
            self.bytes(&[0; PAGE_BYTES][..some])?;
            count -= some;
        }
        Ok(())
    }

    fn fill_page(&mut self) -> Result<(), SectionError> {
        self.zeros(self.at.next_multiple_of(PAGE_BYTES) - self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    static KIND: Kind = Kind { magic: *b"KILN-T\0\n", name: "test file", version: 3 };

    fn file(head: &[u8], sections: &[&[u64]]) -> Vec<u8> {
        let out = Cursor::new(Vec::new());
        let mut writer = SectionWriter::new(&KIND, out, head.to_vec(), sections.len()).unwrap();
        for (form, section) in (7..).zip(sections) {
            writer.section(form, section.chunks(3)).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn sections_of(bytes: &[u8]) -> Result<Sections, SectionError> {
        Sections::read(&KIND, bytes)
    }

    #[test]
    fn sections_of_every_length_come_back_on_pages() {
        let long: Vec<u64> = (0..1000).collect();
        let parts: [&[u64]; 5] = [&[], &[5], &long[..511], &long[..512], &long];
        let bytes = file(b"head", &parts);
        assert_eq!(bytes.len() % PAGE_BYTES, 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, &bytes).unwrap();
        for sections in [sections_of(&bytes).unwrap(), Sections::open(&KIND, &path).unwrap()] {
            sections.check().unwrap();
            assert_eq!((sections.head(), sections.count()), (&b"head"[..], 5));
            for (at, part) in parts.iter().enumerate() {
                let slice = sections.slice::<u64>(at, part.len()).unwrap();
                assert_eq!((slice.as_ref(), sections.form(at)), (*part, Some(7 + at as u32)));
                assert!(sections.slice::<u64>(at, part.len() + 1).is_err());
            }
            assert!(sections.slice::<u64>(5, 0).is_err() && sections.checked_bytes(5).is_err());
        }
        assert!(matches!(Sections::open(&KIND, &folder.path().join("none")), Err(SectionError::Io { .. })));
    }

    #[test]
    fn every_flipped_bit_is_found_by_opening_or_by_checking() {
        let bytes = file(b"h", &[&[1, 2], &[3]]);
        let header = header_bytes(1, 2).unwrap();
        for at in (0..header + 50).chain((header + 50..bytes.len()).step_by(7)) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let opened = sections_of(&flipped);
            assert_eq!(opened.is_err(), at < header, "byte {at}");
            assert!(opened.and_then(|sections| sections.check()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn every_truncation_and_prolongation_is_refused_when_opened() {
        let bytes = file(b"", &[&[1]]);
        for left in (0..200).chain((200..bytes.len()).step_by(97)) {
            assert!(sections_of(&bytes[..left]).is_err(), "{left} bytes");
        }
        let longer = [&bytes[..], &[0; PAGE_BYTES]].concat();
        assert!(matches!(sections_of(&longer), Err(SectionError::TooLong { .. })));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        assert!(matches!(Sections::open(&KIND, &path), Err(SectionError::AnotherKind { .. })));
    }

    /// A header with a right checksum around wrong numbers.
    #[test]
    fn announced_sizes_are_not_believed() {
        let resealed = |at: usize, value: &[u8]| {
            let mut bytes = file(b"", &[&[1]]);
            bytes[at..at + value.len()].copy_from_slice(value);
            let end = header_bytes(0, 1).unwrap() - CHECKSUM_BYTES;
            let checksum = Keccak256::digest(&bytes[..end]);
            bytes[end..end + CHECKSUM_BYTES].copy_from_slice(&checksum);
            bytes
        };
        for (at, value) in [
            (12, &u64::MAX.to_be_bytes()[..]),
            (20, &u32::MAX.to_be_bytes()),
            (24, &u32::MAX.to_be_bytes()),
            (24, &2u32.to_be_bytes()),
            (FIXED_BYTES + 4, &u64::MAX.to_be_bytes()),
            (FIXED_BYTES + 4, &5000u64.to_be_bytes()),
        ] {
            assert!(sections_of(&resealed(at, value)).is_err(), "{value:?} at {at}");
        }
        // Fewer bytes than there are, but a whole file: the section is shorter, and not what its reader expects.
        let short = sections_of(&resealed(FIXED_BYTES + 4, &3u64.to_be_bytes())).unwrap();
        assert!(short.slice::<u64>(0, 1).is_err() && short.check().is_err());
        assert!(matches!(
            sections_of(&resealed(8, &9u32.to_be_bytes())),
            Err(SectionError::UnknownVersion { expected: 3, got: 9, .. })
        ));
    }
}
