//! The card with its control program, driven by a host that writes entries and registers by hand.

use super::*;
use crate::memory::{point, point_bytes, scalar, scalar_bytes};
use crate::msm::point::{Base, Xyzz};
use ark_bn254::{Fq, Fr};
use ark_ff::{AdditiveGroup, Field, UniformRand, Zero};
use ark_std::rand::Rng;
use kiln_abi::admin::{AdminCommand, SelfTestKind};
use kiln_abi::io::{Direction, HostBuffer, IoCommand, Location, ScalarBound, ScanKind};
use kiln_abi::program::{Instruction, Shape, VectorBinding};
use kiln_abi::register::{CC_ENABLE, CSTS_READY, Doorbell, MAGIC, RESET_KEY_CONTROLLER, Register};
use kiln_abi::{Completion, DmaFault, Entry, Status, TaskRecord};
use std::sync::Mutex;

const ENTRIES: u16 = 8;
const RECORD: u64 = 0x10_0000;
/// Where a test puts what it sends, and where it gets results.
const DATA: u64 = 0x20_0000;
const RESULT: u64 = 0x80_0000;

struct Ram(Mutex<Vec<u8>>);

impl Ram {
    fn range(&self, address: u64, length: usize, write: bool) -> Result<std::ops::Range<usize>, DmaFault> {
        let fault = DmaFault { address, length: length as u64, write };
        let end = address.checked_add(length as u64).filter(|end| *end <= 1 << 24).ok_or(fault)?;
        Ok(address as usize..end as usize)
    }
}

impl HostMemory for Ram {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault> {
        buffer.copy_from_slice(&self.0.lock().unwrap()[self.range(address, buffer.len(), false)?]);
        Ok(())
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), DmaFault> {
        let range = self.range(address, data.len(), true)?;
        self.0.lock().unwrap()[range].copy_from_slice(data);
        Ok(())
    }
}

#[derive(Default)]
struct Lines(Mutex<Vec<u16>>);

impl Interrupts for Lines {
    fn raise(&self, vector: u16) {
        self.0.lock().unwrap().push(vector);
    }
}

struct Host {
    card: Card,
    ram: Arc<Ram>,
    lines: Arc<Lines>,
    tails: [u16; 3],
    heads: [u16; 3],
}

fn submission_ring(queue: usize) -> u64 {
    0x1000 + 0x2000 * queue as u64
}

impl Host {
    /// A card that is ready, with two I/O queues.
    fn ready() -> Host {
        let ram = Arc::new(Ram(Mutex::new(vec![0; 1 << 24])));
        let lines = Arc::new(Lines::default());
        let mut card = Card::new(Profile::load("u55c").unwrap());
        card.attach(ram.clone(), lines.clone());
        let mut host = Host { card, ram, lines, tails: [0; 3], heads: [0; 3] };
        for (register, value) in [
            (Register::Aqa, u32::from(ENTRIES) * 0x1_0001),
            (Register::Asq, submission_ring(0) as u32),
            (Register::Acq, submission_ring(0) as u32 + 0x1000),
            (Register::Cc, CC_ENABLE),
        ] {
            host.card.write32(0, register.offset(), value);
        }
        host.run();
        assert_eq!(host.read(Register::Csts), CSTS_READY);
        for id in [1, 2] {
            let (entries, address, vector) = (ENTRIES, submission_ring(usize::from(id)), Some(id));
            host.admin(AdminCommand::CreateCompletionQueue {
                id,
                entries,
                address: address + 0x1000,
                vector,
            });
            host.admin(AdminCommand::CreateSubmissionQueue { id, entries, address, completion_queue: id });
        }
        host
    }

    fn read(&mut self, register: Register) -> u32 {
        self.card.read32(0, register.offset())
    }

    fn run(&mut self) {
        for _ in 0..10_000 {
            if self.card.advance() == Activity::Idle {
                return;
            }
        }
        panic!("the card does not come to rest");
    }

    fn submit(&mut self, queue: usize, entry: Entry) {
        let tail = &mut self.tails[queue];
        self.ram.write(submission_ring(queue) + 64 * u64::from(*tail), &entry.to_bytes()).unwrap();
        *tail = (*tail + 1) % ENTRIES;
        let bell = Doorbell::SubmissionTail(queue as u16).offset();
        self.card.write32(0, bell, u32::from(*tail));
    }

    fn complete(&mut self, queue: usize) -> Completion {
        self.run();
        let (head, mut raw) = (self.heads[queue] % ENTRIES, [0; 16]);
        self.ram.read(submission_ring(queue) + 0x1000 + 16 * u64::from(head), &mut raw).unwrap();
        let completion = Completion::from_bytes(&raw);
        assert_eq!(completion.phase, (self.heads[queue] / ENTRIES).is_multiple_of(2), "no completion");
        self.heads[queue] += 1;
        let bell = Doorbell::CompletionHead(queue as u16).offset();
        self.card.write32(0, bell, u32::from(self.heads[queue] % ENTRIES));
        completion
    }

    fn admin(&mut self, command: AdminCommand) -> u64 {
        self.submit(0, command.to_entry(3, 0));
        let completion = self.complete(0);
        assert_eq!(completion.status, Status::Success.code(), "{command:?}");
        completion.result
    }

    fn refused(&mut self, command: IoCommand) -> (Status, u64) {
        self.submit(1, command.to_entry(9, RECORD));
        let completion = self.complete(1);
        assert_eq!(completion.command_id, 9);
        (Status::from_code(completion.status).unwrap(), completion.result)
    }

    fn run_command(&mut self, command: IoCommand) -> TaskRecord {
        assert_eq!(self.refused(command), (Status::Success, 0), "{command:?}");
        let mut raw = [0; 64];
        self.ram.read(RECORD, &mut raw).unwrap();
        let record = TaskRecord::parse(&raw).unwrap();
        assert_eq!((record.opcode, record.status), (command.opcode().code(), Status::Success));
        assert!(record.cycles > 0);
        record
    }

    fn upload(&mut self, card: u64, bytes: &[u8]) -> TaskRecord {
        self.ram.write(DATA, bytes).unwrap();
        let source = HostBuffer::Contiguous { address: DATA };
        self.run_command(IoCommand::CopyToCard { destination: card, bytes: bytes.len() as u64, source })
    }

    fn upload_elements(&mut self, card: u64, elements: &[Fr]) {
        let bytes: Vec<u8> = elements.iter().flat_map(scalar_bytes).collect();
        self.upload(card, &bytes);
    }

    fn download(&mut self, card: u64, bytes: usize) -> Vec<u8> {
        let destination = HostBuffer::Contiguous { address: RESULT };
        self.run_command(IoCommand::CopyFromCard { source: card, bytes: bytes as u64, destination });
        self.host_bytes(RESULT, bytes)
    }

    fn host_bytes(&self, address: u64, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        self.ram.read(address, &mut buffer).unwrap();
        buffer
    }

    fn download_elements(&mut self, card: u64, length: usize) -> Vec<Fr> {
        elements(&self.download(card, 32 * length))
    }
}

fn elements(bytes: &[u8]) -> Vec<Fr> {
    bytes.as_chunks::<32>().0.iter().map(|word| scalar(word).unwrap()).collect()
}

fn random(length: usize) -> Vec<Fr> {
    let mut rng = ark_std::test_rng();
    (0..length).map(|_| Fr::rand(&mut rng)).collect()
}

const GENERATOR: Base = Base { x: Fq::ONE, y: Fq::new(ark_ff::BigInt([2, 0, 0, 0])) };

#[test]
fn a_card_introduces_itself_before_it_is_attached() {
    let mut card = Card::new(Profile::load("u55c").unwrap());
    assert_eq!(card.read32(0, Register::Magic.offset()), MAGIC);
    assert_eq!(card.read32(2, 0), ALL_ONES);
    assert_eq!(card.advance(), Activity::Idle);
}

#[test]
fn copies_go_there_and_back_in_one_piece_and_scattered() {
    let mut host = Host::ready();
    let data: Vec<u8> = (0..300_001u32).map(|i| (i * 7) as u8).collect();
    let record = host.upload(64, &data);
    assert_eq!((record.host_bytes, record.memory_bytes), (300_001, 300_001));
    assert_eq!(host.download(64, data.len()), data);
    // Three segments of odd lengths.
    let list: Vec<u8> = [(DATA + 5, 1000u64), (DATA + 100_000, 1), (DATA + 7, 2999)]
        .iter()
        .flat_map(|(address, length): &(u64, u64)| [address.to_le_bytes(), length.to_le_bytes()])
        .flatten()
        .collect();
    host.ram.write(0x18_0000, &list).unwrap();
    let source = HostBuffer::Scattered { list: 0x18_0000, segments: 3 };
    host.run_command(IoCommand::CopyToCard { destination: 1 << 20, bytes: 4000, source });
    let expected = [&data[5..1005], &data[100_000..100_001], &data[7..3006]].concat();
    assert_eq!(host.download(1 << 20, 4000), expected);
    let short = IoCommand::CopyToCard { destination: 0, bytes: 4001, source };
    assert_eq!(host.refused(short), (Status::ScatterList, 4000));
}

#[test]
fn small_integers_become_elements() {
    let mut host = Host::ready();
    let integers = [0i32, 1, -1, i32::MAX, i32::MIN, 255];
    let bytes: Vec<u8> = integers.iter().flat_map(|integer| integer.to_le_bytes()).collect();
    host.ram.write(DATA, &bytes).unwrap();
    let source = HostBuffer::Contiguous { address: DATA };
    let record = host.run_command(IoCommand::ExpandSmall { destination: 96, length: 6, source });
    assert_eq!((record.host_bytes, record.memory_bytes), (24, 6 * 32));
    assert_eq!(host.download_elements(96, 6), integers.map(Fr::from));
}

#[test]
fn points_are_checked_and_multiplied() {
    let mut host = Host::ready();
    let bases: Vec<Base> = [GENERATOR, Base::INFINITY, GENERATOR].to_vec();
    let mut bytes: Vec<u8> = bases.iter().flat_map(point_bytes).collect();
    host.ram.write(DATA, &bytes).unwrap();
    let load = IoCommand::LoadBases {
        destination: 1 << 20,
        length: 3,
        source: HostBuffer::Contiguous { address: DATA },
    };
    host.run_command(load);
    host.upload_elements(0, &[Fr::from(9u64), -Fr::from(5u64)]);
    let bound = ScalarBound::Full;
    let multiply = IoCommand::Msm { bases: 1 << 20, offset: 1, scalars: 0, length: 2, bound, result: RESULT };
    let record = host.run_command(multiply);
    assert_eq!((record.host_bytes, record.memory_bytes), (64, 2 * 96));
    let mut expected = Xyzz::INFINITY;
    (0..5).for_each(|_| _ = expected.add_base(&GENERATOR, true));
    let got = point(host.host_bytes(RESULT, 64).first_chunk().unwrap());
    assert_eq!(got, Some(expected.to_affine()));
    let bound = ScalarBound::Signed { bits: 2 };
    let broken = IoCommand::Msm { bases: 1 << 20, offset: 0, scalars: 0, length: 2, bound, result: RESULT };
    assert_eq!(host.refused(broken), (Status::ScalarBound, 0));
    bytes[128 + 32] ^= 1;
    host.ram.write(DATA, &bytes).unwrap();
    assert_eq!(host.refused(load), (Status::PointNotOnCurve, 2));
}

#[test]
fn transforms_scans_and_inverses_chain_on_the_card() {
    let mut host = Host::ready();
    let coefficients = random(64);
    host.upload_elements(0, &coefficients);
    let shift = [7u64, 0, 0, 0];
    let (source_length, log_n) = (64, 6);
    let forward = IoCommand::Ntt {
        source: 0,
        source_length,
        destination: 0x1000,
        log_n,
        direction: Direction::Forward,
        shift,
    };
    host.run_command(forward);
    let inverse = IoCommand::Ntt {
        source: 0x1000,
        source_length,
        destination: 0x2000,
        log_n,
        direction: Direction::Inverse,
        shift,
    };
    host.run_command(inverse);
    assert_eq!(host.download_elements(0x2000, 64), coefficients);
    let (source, length) = (0x2000, 64);
    host.run_command(IoCommand::Scan { source, destination: 0x3000, length, kind: ScanKind::Product });
    host.run_command(IoCommand::Invert { source: 0x3000, destination: 0x4000, length });
    let (products, inverses) = (host.download_elements(0x3000, 64), host.download_elements(0x4000, 64));
    assert_eq!(products[63], coefficients[..63].iter().product::<Fr>());
    assert!(products.iter().zip(&inverses).all(|(product, inverse)| *product * inverse == Fr::ONE));
    let placed = IoCommand::Place { source, length, destination: 0x5000, before: 3, total: 70 };
    host.run_command(placed);
    let placed = host.download_elements(0x5000, 70);
    assert_eq!(
        (placed[2], placed[3], placed[66], placed[67]),
        (Fr::ZERO, coefficients[0], coefficients[63], Fr::ZERO)
    );
}

#[test]
fn evaluation_division_and_powers_agree() {
    let mut host = Host::ready();
    let (coefficients, root, x) = (random(33), Fr::from(3u64), Fr::from(10u64));
    host.upload_elements(0, &coefficients);
    host.run_command(IoCommand::DivideLinear { source: 0, destination: 0x1000, length: 33, root: root.0.0 });
    let mut evaluate = |source, length| {
        let points: Vec<u8> = [root, x].iter().flat_map(scalar_bytes).collect();
        host.ram.write(DATA, &points).unwrap();
        let points_count = 2;
        let record = host.run_command(IoCommand::Evaluate {
            source,
            length,
            points: DATA,
            points_count,
            result: RESULT,
        });
        // Points in, values out.
        assert_eq!(record.host_bytes, 128);
        elements(&host.host_bytes(RESULT, 64))
    };
    let (values, quotients) = (evaluate(0, 33), evaluate(0x1000, 32));
    assert_eq!(quotients[1] * (x - root), values[1] - values[0]);
    let parameters: Vec<u8> = [x, root].iter().flat_map(scalar_bytes).collect();
    host.ram.write(DATA, &parameters).unwrap();
    host.run_command(IoCommand::Powers { destination: 0x2000, length: 5, parameters: DATA });
    assert_eq!(host.download_elements(0x2000, 5)[4], x * root.pow([4]));
}

#[test]
fn vector_programs_run_from_host_and_card_memory() {
    let mut host = Host::ready();
    let values = random(200);
    host.upload_elements(0, &values);
    let steps = [
        Instruction::Load { dst: 0, input: 0, rotation: -1 },
        Instruction::Mul { dst: 0, a: 0, b: 0 },
        Instruction::Store { output: 0, src: 0 },
    ];
    let shape = Shape { registers: 1, inputs: 1, outputs: 1, constants: 0, instructions: 3 };
    let mut image = shape.to_header().to_vec();
    steps.iter().for_each(|step| image.extend(step.to_bytes()));
    host.upload(1 << 20, &image);
    host.ram.write(DATA, &image).unwrap();
    let bindings: Vec<u8> = [0u64, 0x8000]
        .iter()
        .flat_map(|address| VectorBinding { address: *address, length: 200 }.to_bytes())
        .collect();
    host.ram.write(DATA + 4096, &bindings).unwrap();
    let mut records = Vec::new();
    for program in [Location::Host(DATA), Location::Card(1 << 20)] {
        let command = IoCommand::VectorProgram {
            rows: 200,
            program,
            program_bytes: image.len() as u32,
            bindings: DATA + 4096,
            bindings_bytes: 32,
        };
        records.push(host.run_command(command));
        let got = host.download_elements(0x8000, 200);
        assert!((0..200).all(|row| got[row] == values[(row + 199) % 200].square()));
    }
    assert_eq!((records[0].host_bytes, records[1].host_bytes), (image.len() as u64 + 32, 32));
    assert_eq!(records[0].cycles, records[1].cycles);
}

#[test]
fn damaged_vectors_and_unmapped_memory_are_reported() {
    let mut host = Host::ready();
    host.upload(64, &[0xff; 32]);
    let scan = IoCommand::Scan { source: 0, destination: 0x1000, length: 4, kind: ScanKind::Sum };
    assert_eq!(host.refused(scan), (Status::MemoryError, 64));
    let unmapped = IoCommand::CopyToCard {
        destination: 0,
        bytes: 64,
        source: HostBuffer::Contiguous { address: 1 << 40 },
    };
    assert_eq!(host.refused(unmapped), (Status::HostMemoryFault, 1 << 40));
    let result = (1 << 24) - 32;
    host.upload_elements(0, &random(1));
    host.upload(0x1000, &point_bytes(&GENERATOR));
    let bound = ScalarBound::Full;
    let msm = IoCommand::Msm { bases: 0x1000, offset: 0, scalars: 0, length: 1, bound, result };
    assert_eq!(host.refused(msm), (Status::HostMemoryFault, result));
    assert_eq!(host.download_elements(0x2000, 1), [Fr::zero()]);
}

#[test]
fn the_self_test_passes_and_destroys_nothing() {
    let mut host = Host::ready();
    let values = random(4);
    host.upload_elements(32, &values);
    for kind in [SelfTestKind::Quick, SelfTestKind::Full] {
        assert_eq!(host.admin(AdminCommand::SelfTest { kind }), 0);
    }
    assert_eq!(host.download_elements(32, 4), values);
}

#[test]
fn completions_raise_their_vector_and_resets_bring_the_card_back() {
    let mut host = Host::ready();
    host.run_command(IoCommand::CopyToCard {
        destination: 0,
        bytes: 4,
        source: HostBuffer::Contiguous { address: DATA },
    });
    assert_eq!(host.lines.0.lock().unwrap().last(), Some(&1));
    host.card.write32(0, Register::Reset.offset(), RESET_KEY_CONTROLLER);
    host.run();
    assert_eq!(host.read(Register::Csts) & CSTS_READY, 0);
    host.card.reset();
    assert_eq!((host.read(Register::Magic), host.card.now()), (MAGIC, 0));
}

#[test]
fn the_memory_window_shows_card_memory() {
    let mut host = Host::ready();
    host.upload(32, &[1, 2, 3, 4]);
    assert_eq!(host.card.read32(BAR_MEMORY_WINDOW, 32), 0x0403_0201);
    host.card.write32(BAR_MEMORY_WINDOW, 32, 5);
    assert_eq!(host.download(32, 4), [5, 0, 0, 0]);
    assert_eq!(host.card.read32(BAR_MEMORY_WINDOW, 1 << 40), ALL_ONES);
}

/// The same accesses give the same times; every cycle and byte of the engines is accounted for.
#[test]
fn time_and_totals_repeat_exactly_and_balance() {
    let run = || {
        let mut host = Host::ready();
        host.upload_elements(0, &random(512));
        let (source, destination, length) = (0, 0x8000, 512);
        host.run_command(IoCommand::Scan { source, destination, length, kind: ScanKind::Sum });
        host.run_command(IoCommand::Invert { source, destination, length });
        (host.card.now(), host.card.totals())
    };
    let (now, totals) = run();
    assert_eq!(run(), (now, totals));
    assert!(totals.engines.iter().all(|cost| cost.cycles.balanced()));
    let worked: u64 = totals.engines.iter().map(|cost| cost.cycles.total).sum();
    assert!(worked > 0 && worked <= now / 4_000, "one queue runs one engine at a time");
    assert_eq!(totals.engines[0].host_bytes, 512 * 32);
}

#[test]
fn jobs_of_different_queues_run_at_the_same_time() {
    let mut host = Host::ready();
    host.upload_elements(0, &random(256));
    let (source, length) = (0, 256);
    let jobs = [
        IoCommand::Evaluate { source, length, points: DATA, points_count: 8, result: RESULT },
        IoCommand::Ntt {
            source,
            source_length: length,
            destination: 0x10_0000,
            log_n: 12,
            direction: Direction::Forward,
            shift: Fr::ONE.0.0,
        },
    ];
    let records = [RECORD, RECORD + 64];
    for (index, job) in jobs.iter().enumerate() {
        host.submit(index + 1, job.to_entry(1, records[index]));
    }
    assert!([1, 2].iter().all(|queue| host.complete(*queue).status == Status::Success.code()));
    let [long, short] = records
        .map(|address| TaskRecord::parse(host.host_bytes(address, 64).first_chunk().unwrap()).unwrap());
    assert!(
        short.start_cycle < long.start_cycle + long.cycles
            && long.start_cycle < short.start_cycle + short.cycles,
        "{long:?} {short:?}"
    );
}

/// Commands whose fields are drawn from numbers that matter: each gets one completion, and the card stays in service.
#[test]
fn any_command_ends_in_a_completion() {
    let mut host = Host::ready();
    let mut rng = ark_std::test_rng();
    host.upload(0, &[7; 1 << 16]);
    let choices = [0, 32, 64, 4096, 5000, 1 << 16, DATA, RESULT, (1 << 34) - 32, 1 << 34, u64::MAX - 31];
    let counts = [0, 1, 2, 3, 16, 31, 256, 5000, u32::MAX];
    let mut succeeded = [0; 15];
    for round in 0..4000u16 {
        let mut at = || choices[rng.gen_range(0..choices.len())];
        let (a, b, c) = (at(), at(), at());
        let [n, m, k] = [(); 3].map(|()| counts[rng.gen_range(0..counts.len())]);
        let scattered = rng.gen_range(0..4) == 0;
        let source = if scattered {
            HostBuffer::Scattered { list: c, segments: n }
        } else {
            HostBuffer::Contiguous { address: c }
        };
        let element = [u64::from(k), 0, 0, if scattered { u64::MAX } else { 0 }];
        let (inverse, full) = (round % 2 == 0, round % 3 == 0);
        let direction = if inverse { Direction::Inverse } else { Direction::Forward };
        let bound = if full { ScalarBound::Full } else { ScalarBound::Signed { bits: 253 } };
        let log_n = [0, 1, 8, 10, 25, 28][rng.gen_range(0..6)];
        let kind = if inverse { ScanKind::Sum } else { ScanKind::Product };
        let command = match round % 15 {
            0 => IoCommand::Fence,
            1 => IoCommand::CopyToCard { destination: a, bytes: b, source },
            2 => IoCommand::CopyFromCard { source: a, bytes: b, destination: source },
            3 => IoCommand::ExpandSmall { destination: a, length: m, source },
            4 => IoCommand::LoadBases { destination: a, length: m, source },
            5 => IoCommand::Powers { destination: a, length: n, parameters: c },
            6 => IoCommand::Place { source: a, length: n, destination: b, before: m, total: k },
            7 => IoCommand::Msm { bases: a, offset: m, scalars: b, length: n, bound, result: c },
            8 => IoCommand::Ntt {
                source: a,
                source_length: n,
                destination: b,
                log_n,
                direction,
                shift: element,
            },
            9 => IoCommand::Ntt {
                source: a,
                source_length: n,
                destination: b,
                log_n: 4,
                direction,
                shift: element,
            },
            10 => IoCommand::VectorProgram {
                rows: n,
                program: if full { Location::Host(a) } else { Location::Card(a) },
                program_bytes: m,
                bindings: b,
                bindings_bytes: k,
            },
            11 => IoCommand::Scan { source: a, destination: b, length: n, kind },
            12 => IoCommand::Invert { source: a, destination: b, length: n },
            13 => IoCommand::Evaluate {
                source: a,
                length: n,
                points: b,
                points_count: (k % 65) as u8,
                result: c,
            },
            _ => IoCommand::DivideLinear { source: a, destination: b, length: n, root: element },
        };
        host.submit(1, command.to_entry(round, 0));
        let completion = host.complete(1);
        assert_eq!(completion.command_id, round);
        succeeded[usize::from(round % 15)] += u32::from(completion.status == 0);
    }
    assert!(succeeded.iter().filter(|count| **count > 0).count() >= 12, "{succeeded:?}");
    host.upload_elements(0, &random(3));
}
