//! A card and its host: what each reads of what the other wrote.
//!
//! The first byte of an input chooses the reader, the rest is what it reads, cut or filled up with zeros to the size that
//! such bytes always have.

use std::collections::HashMap;

use kiln_abi::completion::COMPLETION_BYTES;
use kiln_abi::entry::ENTRY_BYTES;
use kiln_abi::firmware::ImageHeader;
use kiln_abi::page::{ERROR_ENTRY_BYTES, ErrorEntry, FirmwareSlots, HEALTH_BYTES, Health, Identify};
use kiln_abi::program::{Bindings, Instruction, Program};
use kiln_abi::record::RECORD_BYTES;
use kiln_abi::{AdminCommand, Completion, Entry, IoCommand, Status, TaskRecord};
use kiln_driver::completion::{check, check_record};

use crate::bounded;

/// The queue whose completions are read, its entries, and the ids in flight.
const QUEUE: u16 = 3;
const ENTRIES: u16 = 64;
const IN_FLIGHT: [u16; 3] = [0, 7, 0xffff];
/// Opcode of every command in flight.
const OPCODE: u8 = 0x10;
/// What reading a few hundred bytes may take.
const MEMORY_BYTES: usize = 1 << 16;

fn sized<const N: usize>(data: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, given) in bytes.iter_mut().zip(data) {
        *byte = *given;
    }
    bytes
}

/// What a card writes into host memory. A completion is accepted only if it answers a command in flight, and a record
/// only if it belongs to that completion.
pub fn completion(data: &[u8]) {
    let Some((reader, data)) = data.split_first() else { return };
    match reader % 4 {
        0 => answered(data),
        1 => {
            if let Ok(page) = Identify::parse(&sized(data)) {
                assert_eq!(Identify::parse(&page.to_bytes()).expect("one form"), page);
                assert!(page.model.as_str().bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            }
        }
        2 => {
            let bytes: [u8; ERROR_ENTRY_BYTES] = sized(data);
            if let Ok(entry) = ErrorEntry::parse(&bytes) {
                assert_eq!(ErrorEntry::parse(&entry.to_bytes()).expect("one form"), entry);
            }
        }
        _ => {
            let bytes: [u8; HEALTH_BYTES] = sized(data);
            let page = Health::from_bytes(&bytes);
            assert_eq!(Health::from_bytes(&page.to_bytes()), page);
            if let Ok(slots) = FirmwareSlots::parse(&sized(data)) {
                assert_eq!(FirmwareSlots::parse(&slots.to_bytes()).expect("one form"), slots);
                assert_ne!(slots.versions[usize::from(slots.running)], 0);
            }
            if let Ok(header) = ImageHeader::parse(&sized(data)) {
                assert_eq!(header.to_bytes(), sized(data), "one form");
            }
        }
    }
}

/// A completion, followed by its record.
fn answered(data: &[u8]) {
    let (first, rest) = data.split_at(data.len().min(COMPLETION_BYTES));
    let completion = Completion::from_bytes(&sized(first));
    assert_eq!(completion.to_bytes(), sized(first), "any 16 bytes are one completion");
    let in_flight: HashMap<u16, ()> = IN_FLIGHT.map(|id| (id, ())).into();
    let Ok(checked) = check(completion, QUEUE, ENTRIES, &in_flight) else { return };
    assert!(IN_FLIGHT.contains(&checked.command_id) && completion.submission_queue == QUEUE);
    assert!(completion.submission_head < ENTRIES);
    assert_eq!((checked.status.code(), checked.result), (completion.status, completion.result));
    if let Ok(record) = check_record(&sized(rest), QUEUE, OPCODE, &checked) {
        assert_eq!((record.command_id, record.submission_queue), (checked.command_id, QUEUE));
        assert_eq!((record.opcode, record.status), (OPCODE, checked.status));
        assert!(record.busy_cycles() <= record.cycles);
    }
}

/// A valid input for every reader of what a card writes.
pub fn completion_seeds() -> Vec<Vec<u8>> {
    let completion = Completion {
        result: 9,
        submission_head: 5,
        submission_queue: QUEUE,
        command_id: 7,
        phase: true,
        status: Status::Success.code(),
    };
    let mut record: [u8; RECORD_BYTES] = [0; RECORD_BYTES];
    record[0] = 7;
    record[2] = QUEUE.to_le_bytes()[0];
    record[4] = OPCODE;
    assert!(TaskRecord::parse(&record).is_ok());
    let answer = [&[0][..], &completion.to_bytes(), &record].concat();
    vec![answer, vec![1; 128], vec![2; 33], vec![3; 65]]
}

/// What a host writes into memory that the card reads. What parses has one form.
pub fn command(data: &[u8]) {
    let Some((reader, data)) = data.split_first() else { return };
    match reader % 3 {
        0 => {
            let entry = Entry::from_bytes(&sized(data));
            assert_eq!(entry.to_bytes(), sized(data), "any 64 bytes are one entry");
            if let Ok(command) = bounded(MEMORY_BYTES, || IoCommand::parse(&entry)) {
                assert_eq!(command.to_entry(entry.command_id, entry.record_address), entry);
            }
        }
        1 => {
            let entry = Entry::from_bytes(&sized(data));
            if let Ok(command) = bounded(MEMORY_BYTES, || AdminCommand::parse(&entry)) {
                assert_eq!(command.to_entry(entry.command_id, entry.record_address), entry);
            }
        }
        _ => program(data),
    }
}

/// A number of rows, a program's image, and what is left as its bindings.
fn program(data: &[u8]) {
    let Some((rows, data)) = data.split_first_chunk::<4>() else { return };
    // The image names its own length; a host that names another is refused, which is tried as well.
    let parsed = bounded(MEMORY_BYTES, || {
        (1..=data.len()).rev().find_map(|end| Program::parse(&data[..end]).ok().map(|program| (program, end)))
    });
    let Some((program, end)) = parsed else { return };
    let shape = program.shape();
    assert_eq!(shape.image_bytes(), end as u64);
    let count = program.instructions().count();
    assert_eq!(
        count, shape.instructions as usize,
        "every instruction was decoded when the image was checked"
    );
    for instruction in program.instructions() {
        if let Instruction::Store { output, .. } = instruction {
            assert!(output < shape.outputs);
        }
    }
    if let Ok(bindings) = Bindings::parse(&data[end..], &program, u32::from_le_bytes(*rows)) {
        assert_eq!(bindings.outputs().count(), usize::from(shape.outputs));
    }
}

/// Valid commands, and a program with its bindings.
pub fn command_seeds() -> Vec<Vec<u8>> {
    let io = IoCommand::CopyToCard {
        destination: 64,
        bytes: 100,
        source: kiln_abi::HostBuffer::Contiguous { address: 0x1000 },
    };
    let admin = AdminCommand::Identify { address: 0x1000 };
    let shape =
        kiln_abi::program::Shape { registers: 1, inputs: 1, outputs: 1, constants: 0, instructions: 2 };
    let load = Instruction::Load { dst: 0, input: 0, rotation: 1 };
    let store = Instruction::Store { output: 0, src: 0 };
    let binding = kiln_abi::program::VectorBinding { address: 64, length: 4 };
    let program = [
        &[2, 4, 0, 0, 0][..],
        &shape.to_header(),
        &load.to_bytes(),
        &store.to_bytes(),
        &binding.to_bytes(),
        &binding.to_bytes(),
    ]
    .concat();
    let entry = |first: u8, bytes: [u8; ENTRY_BYTES]| [&[first][..], &bytes].concat();
    vec![entry(0, io.to_entry(7, 0x40).to_bytes()), entry(1, admin.to_entry(7, 0).to_bytes()), program]
}
