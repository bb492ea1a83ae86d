//! Holds `docs/card-interface.md` to what the code says.

extern crate std;
use std::format;
use std::string::String;
use std::vec::Vec;

use crate::admin::{AdminOpcode, CommitAction, Event, Feature, LogPage, SelfTestKind};
use crate::feature::FeatureKind;
use crate::firmware;
use crate::io::IoOpcode;
use crate::page::TrialOutcome;
use crate::program::Operation;
use crate::record::EngineKind;
use crate::register::{MAGIC, RESET_KEY_CONTROLLER, RESET_KEY_ENGINES, Register};
use crate::status::Status;

const DOCUMENT: &str = include_str!("../../../docs/card-interface.md");

/// The text between the heading of this section and the next.
fn section(number: u32) -> &'static str {
    let start = DOCUMENT.find(&format!("\n## {number} ")).expect("the section is there");
    let rest = &DOCUMENT[start + 1..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// The first cells of every table row of a section that starts with this code.
fn rows(number: u32, code: &str) -> Vec<String> {
    let start = format!("| {code} | ");
    section(number).lines().filter_map(|line| line.strip_prefix(&start)).map(String::from).collect()
}

#[track_caller]
fn assert_row(number: u32, code: &str, name: &str) {
    let rows = rows(number, code);
    let found = rows.iter().any(|row| row.starts_with(&format!("{name} |")));
    assert!(found, "section {number} has no row '| {code} | {name} |', but {rows:?}");
}

#[test]
fn document_lists_every_register() {
    for register in Register::ALL {
        assert_row(3, &format!("`{:#04x}`", register.code()), register.name());
        let row = &rows(3, &format!("`{:#04x}`", register.code()))[0];
        assert_eq!(row.contains("| write"), register.writable(), "access of {}", register.name());
    }
}

#[test]
fn document_lists_every_command() {
    for opcode in AdminOpcode::ALL {
        assert_row(7, &format!("`{:#04x}`", opcode.code()), opcode.name());
    }
    for opcode in IoOpcode::ALL {
        let name = format!("{} | {}", opcode.name(), opcode.engine().name());
        assert_row(8, &format!("`{:#04x}`", opcode.code()), &name);
    }
}

#[test]
fn document_lists_every_status() {
    for status in Status::ALL {
        assert_row(10, &format!("`{:#04x}`", status.code()), status.name());
    }
}

#[test]
fn document_lists_every_other_code() {
    for kind in FeatureKind::ALL {
        assert_row(4, &format!("{}", kind.code()), kind.name());
    }
    for page in LogPage::ALL {
        assert_row(7, &format!("{}", page.code()), page.name());
    }
    for feature in Feature::ALL {
        assert_row(7, &format!("{}", feature.code()), feature.name());
    }
    for event in Event::ALL {
        assert_row(7, &format!("{}", event.code()), event.name());
    }
    for kind in SelfTestKind::ALL {
        assert_row(7, &format!("{}", kind.code()), kind.name());
    }
    for action in CommitAction::ALL {
        assert_row(7, &format!("{}", action.code()), action.name());
    }
    for outcome in TrialOutcome::ALL {
        assert_row(12, &format!("{}", outcome.code()), outcome.name());
    }
    for operation in Operation::ALL {
        assert_row(9, &format!("{}", operation.code()), operation.name());
    }
    for engine in EngineKind::ALL {
        let text = format!("{} {}", engine.code(), engine.name());
        assert!(section(11).contains(&text), "{text}");
    }
}

#[test]
fn document_lays_out_a_firmware_image() {
    let text = section(14);
    assert!(text.contains(&format!("a header of {} bytes", firmware::HEADER_BYTES)));
    let magic = core::str::from_utf8(&firmware::IMAGE_MAGIC).expect("characters");
    assert!(text.contains(&format!("| 0 | magic, the 8 characters `{magic}` |")));
    let signature = format!("| {} | Ed25519 signature (RFC 8032, no context)", firmware::SIGNED_BYTES);
    assert!(text.contains(&signature), "{signature}");
    assert!(text.contains(&format!("| {} | payload |", firmware::HEADER_BYTES)));
    assert_eq!(firmware::STARTS_MAX, 3);
    assert!(text.contains("started three times without becoming ready"));
    assert!(section(7).contains(&format!("bytes, 1–{}", firmware::CHUNK_BYTES_MAX)));
    for (offset, field) in [(8, "version u32"), (12, "bytes of the payload u32"), (16, "floor u32")] {
        assert!(text.contains(&format!("| {offset} | {field}")), "{field}");
    }
    for (offset, field) in [(24, "model, 40 bytes"), (64, "name, 24 bytes"), (88, "SHA-256 of the payload")] {
        assert!(text.contains(&format!("| {offset} | {field}")), "{field}");
    }
}

#[test]
fn document_states_the_keys() {
    let spelled = |value: u32| format!("`{:#06x}_{:04x}`", value >> 16, value & 0xffff);
    assert!(section(3).contains(&spelled(MAGIC)));
    assert!(section(5).contains(&spelled(RESET_KEY_ENGINES)));
    assert!(section(5).contains(&spelled(RESET_KEY_CONTROLLER)));
    assert!(section(1).contains(&spelled(crate::INTERFACE_VERSION)));
}
