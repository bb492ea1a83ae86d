//! The text of public values, and of what they mean.
//!
//! Promises: no panic; memory bounded by the length of the text; what is accepted is written again as the same text, up to
//! white space; and only the honest public values make a statement that the honest proof shows.

use crate::meaning::Meaning;
use crate::public::PublicFile;
use kiln_verify::{Portable, verify};

use crate::bounded;
use crate::edits::{self, Words};
use crate::proof::script;
use crate::samples::{Valid, valid_samples};

const WORDS: Words = Words { first: 0, stride: 1 };

/// Memory that a text may take, the verification of a sample included.
const MEMORY_BYTES: usize = 1 << 20;
const MEMORY_PER_BYTE: usize = 256;

/// Bits of the first byte: the text as it is, or a script; and the other text.
const RAW: u8 = 0x80;
const MEANING: u8 = 0x40;
/// The text without white space: shorter, so that more changes hit something.
const DENSE: u8 = 0x20;

/// The target.
pub fn run(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let samples = valid_samples();
    let sample = &samples[usize::from(first & 0x0f) % samples.len()];
    let bytes = if first & RAW != 0 {
        rest.to_vec()
    } else {
        let mut bytes = valid_text(sample, first).into_bytes();
        edits::apply(&mut bytes, WORDS, rest);
        bytes
    };
    let Ok(text) = String::from_utf8(bytes) else { return };
    bounded(MEMORY_BYTES + MEMORY_PER_BYTE * text.len(), || {
        if first & MEANING != 0 { read_meaning(&text) } else { read_public(sample, &text) }
    });
}

fn valid_text(sample: &Valid, first: u8) -> String {
    let text = if first & MEANING != 0 { sample.meaning.to_text() } else { sample.public.to_text() };
    if first & DENSE != 0 { text.split_ascii_whitespace().collect() } else { text }
}

fn read_meaning(text: &str) {
    if let Ok(meaning) = Meaning::from_text(text) {
        assert_eq!(Meaning::from_text(&meaning.to_text()).ok(), Some(meaning), "a meaning that changes");
    }
}

fn read_public(sample: &Valid, text: &str) {
    let Ok(public) = PublicFile::from_text(text) else { return };
    let dense = |text: &str| text.split_ascii_whitespace().collect::<String>();
    assert_eq!(dense(&public.to_text()), dense(text), "what is read is written as another text");
    let Ok(statement) = public.statement(&Portable, &sample.vk, &sample.meaning) else { return };
    let accepted = verify(&sample.vk, &statement, &sample.proof).is_ok();
    assert_eq!(accepted, public == sample.public, "other values than the proof's are accepted");
}

/// Texts and changes.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, sample) in (0u8..).zip(valid_samples()) {
        for kind in [number, DENSE | number, MEANING | number] {
            seeds.push([&[RAW | kind], valid_text(sample, kind).as_bytes()].concat());
            seeds.push(vec![kind]);
            seeds.extend((0..16).map(|what| script(kind, what)));
        }
    }
    seeds
}
