//! The document says what the code does: rounds, challenges, constants, and which test covers which failure.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use ark_bn254::Fr;
use ark_ff::FftField;

use super::prover::{Step, prove};
use super::sample::Setting;
use crate::domain::root_of_unity;
use crate::encoding::scalar_to_bytes;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What follows a heading, up to the next of its kind.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let start = document.find(heading).unwrap() + heading.len();
    let rest = &document[start..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// Names in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Challenges by the letters of the document.
const LETTERS: [(&str, &str); 9] = [
    ("θ", "theta"),
    ("γ", "gamma"),
    ("β", "beta"),
    ("δ", "delta"),
    ("α", "alpha"),
    ("ζ", "zeta"),
    ("v", "v"),
    ("u", "u"),
    ("–", ""),
];

/// The rounds of the document's table, each with the labels of its challenges.
fn rounds_of_the_document(document: &str) -> (Vec<String>, Vec<String>) {
    let (mut names, mut labels) = (Vec::new(), Vec::new());
    for line in section(document, "\n## Rounds").lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(name) = quoted(cells[1]).first().copied() else {
            // the header, or a further line of the round above
            labels.extend(letters(cells[3]));
            continue;
        };
        assert!(cells[1].starts_with(&(names.len() + 1).to_string()));
        names.push(name.to_string());
        labels.extend(letters(cells[3]));
    }
    (names, labels)
}

fn letters(cell: &str) -> Vec<String> {
    let known = |letter: &str| LETTERS.iter().find(|(known, _)| *known == letter);
    cell.split(", ").filter_map(known).map(|(_, label)| label.to_string()).filter(|l| !l.is_empty()).collect()
}

/// The rounds that a side's `mod.rs` calls, in order.
fn rounds_of_the_code(source: &str) -> Vec<String> {
    let calls = source.split("::round(").map(|before| {
        let name = before.rsplit(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        name.to_string()
    });
    let mut calls: Vec<String> = calls.collect();
    calls.pop();
    calls
}

#[test]
fn document_and_code_name_the_same_rounds_and_challenges() {
    let document = read("docs/protocol.md");
    let (names, labels) = rounds_of_the_document(&document);
    assert_eq!(names.len(), 6);
    let headings: Vec<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("### Round "))
        .map(ToString::to_string)
        .collect();
    let expected: Vec<String> = (1..).zip(&names).map(|(i, name)| std::format!("{i}: `{name}`")).collect();
    assert_eq!(headings, expected);
    for side in ["hostlib/plonk/src/prover", "hostlib/verify/src/verifier"] {
        assert_eq!(rounds_of_the_code(&read(&std::format!("{side}/mod.rs"))), names, "{side}");
        for (name, heading) in names.iter().zip(&headings) {
            let source = read(&std::format!("{side}/{name}.rs"));
            let pointer = std::format!("//! Specified in `docs/protocol.md`, \"Round {heading}\".");
            assert!(source.contains(&pointer), "{side}/{name}.rs does not point to its section");
        }
    }
    // What a proof really draws; the circuit's own challenges come first.
    let setting = Setting::new();
    let mut drawn = Vec::new();
    prove(&setting, &setting.statement, &mut |step, prover| {
        if step == Step::WPrime {
            drawn.clone_from(&prover.transcript.drawn);
        }
    });
    let own: usize = setting.vk.circuit.challenges.iter().map(Vec::len).sum();
    assert_eq!(drawn[own..], labels);
    let formats = read("docs/proof-format.md");
    let table = section(&formats, "\n## Transcript");
    let rows = table.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.split('|').nth(2));
    let of_formats: Vec<String> = rows.flat_map(quoted).map(ToString::to_string).collect();
    assert_eq!(of_formats, labels);
}

#[test]
fn the_documents_constants_are_those_of_the_code() {
    let document = read("docs/protocol.md");
    let hexadecimal: String =
        scalar_to_bytes(&root_of_unity(28)).iter().map(|b| std::format!("{b:02x}")).collect();
    assert!(document.contains(&hexadecimal), "{hexadecimal}");
    assert_eq!(Fr::GENERATOR, Fr::from(5));
    assert!(document.contains("κ_i = 5^i"));
}

/// All functions of the tree's Rust files.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let names = source.split("#[test]\n").skip(1).filter_map(|after| {
                let name = after.trim_start().strip_prefix("fn ")?;
                name.split('(').next().map(ToString::to_string)
            });
            found.extend(names);
        }
    }
}

#[test]
fn every_test_that_the_document_names_is_in_the_tree() {
    let mut tests = BTreeSet::new();
    for folder in ["hostlib", "circuits", "tools"] {
        functions(&root().join(folder), &mut tests);
    }
    let document = read("docs/protocol.md");
    let table = section(&document, "\n## Published failures");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 25);
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [_, source, names] = cells[..] else { panic!("{row}") };
        assert!(!source.trim().is_empty(), "{row}");
        let names = quoted(names);
        assert!(!names.is_empty(), "no test covers: {row}");
        for name in names {
            assert!(tests.contains(name), "there is no test {name}");
        }
    }
    // Elsewhere a test is named in the same way.
    for name in quoted(&document).into_iter().filter(|name| name.matches('_').count() > 3) {
        assert!(tests.contains(name), "there is no test {name}");
    }
}
