//! The driver, the firmware and the simulated card together: what the unit tests check apart must hold end to end.

#![allow(clippy::expect_used)] // In a test, a failure is a failure.

use std::sync::Arc;
use std::time::Duration;

use kiln_abi::admin::{Feature, SelfTestKind};
use kiln_abi::feature::FeatureKind;
use kiln_abi::io::{Direction, ScalarBound, ScanKind};
use kiln_abi::program::{Instruction, Shape, VectorBinding};
use kiln_abi::{Element, HostBuffer, IoCommand, Status, element_to_bytes};
use kiln_driver::{
    Card, CardError, Deadline, Finished, InProcess, Job, Loss, ProgramSource, Queue, Ready, Settings,
};
use kiln_sim::card::Card as SimulatedCard;
use kiln_sim::profile::Profile;

fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn ready(queues: u16) -> Card<Ready> {
    let endpoint = SimulatedCard::new(Profile::load("u55c").expect("a profile of the simulator"));
    let transport = InProcess::new("simulated", Box::new(endpoint)).expect("a thread");
    let settings = Settings { queues, entries: 8, timeout: Duration::from_secs(60), polling: Duration::ZERO };
    Card::found(Arc::new(transport)).bring_up(&settings).expect("a healthy card")
}

fn run(queue: &Queue, job: &Job<'_>) -> Result<Finished, CardError> {
    let ticket = queue.submit(job, patience())?;
    queue.wait(&ticket, patience())
}

/// Elements below the modulus, all different.
fn elements(count: u64) -> Vec<Element> {
    (1..=count).map(|i| [i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i, !i, i & 0xfff]).collect()
}

fn bytes(elements: &[Element]) -> Vec<u8> {
    elements.iter().flat_map(element_to_bytes).collect()
}

#[test]
fn card_describes_itself_and_passes_its_tests() {
    let card = ready(1);
    for kind in
        [FeatureKind::EngineMsm, FeatureKind::EngineNtt, FeatureKind::EngineVector, FeatureKind::Memory]
    {
        assert!(card.features().get(kind).is_some(), "{}", kind.name());
    }
    assert!(card.identify().memory_bytes > 0 && card.identify().clock_hz > 0);
    card.self_test(SelfTestKind::Quick).expect("healthy");
    card.set_feature(Feature::WatchdogLimit, 1 << 40).expect("taken");
    assert_eq!(card.get_feature(Feature::WatchdogLimit).expect("told"), 1 << 40);
    let before = card.cycles().expect("alive");
    card.keep_alive().expect("taken");
    assert!(card.cycles().expect("alive") > before);
    assert!(card.health().expect("told").commands_completed >= 4);
    assert_eq!(card.errors().expect("told"), []);
}

#[test]
fn bytes_come_back_as_they_went() {
    let card = ready(1);
    let queue = &card.queues()[0];
    let data: Vec<u8> = (0..100_001_u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
    let region = card.memory().allocate(data.len() as u64).expect("room");
    let up = run(queue, &Job::CopyToCard { destination: region.address(), data: &data }).expect("copied");
    assert!(up.record.cycles > 0 && up.record.host_bytes >= data.len() as u64);
    let down = run(queue, &Job::CopyFromCard { source: region.address(), bytes: data.len() as u64 });
    assert!(down.expect("copied").data == data);
}

#[test]
fn scatter_list_is_followed_and_must_add_up() {
    let card = ready(1);
    let queue = &card.queues()[0];
    let buffer = Arc::new(card.dma_buffer(8192).expect("memory"));
    buffer.write(100, b"scattered ").expect("inside");
    buffer.write(5000, b"bytes").expect("inside");
    for (index, (offset, length)) in [(100_u64, 10_u64), (5000, 5)].into_iter().enumerate() {
        buffer.write(16 * index, &(buffer.address() + offset).to_le_bytes()).expect("inside");
        buffer.write(16 * index + 8, &length.to_le_bytes()).expect("inside");
    }
    let source = HostBuffer::Scattered { list: buffer.address(), segments: 2 };
    let gather = |bytes| {
        let command = IoCommand::CopyToCard { destination: 0, bytes, source };
        let ticket = queue.submit_command(&command, vec![buffer.clone()], patience())?;
        queue.wait(&ticket, patience())
    };
    gather(15).expect("copied");
    let back = run(queue, &Job::CopyFromCard { source: 0, bytes: 15 }).expect("copied");
    assert_eq!(back.data, b"scattered bytes");
    assert!(matches!(gather(16), Err(CardError::Command { status: Status::ScatterList, .. })));
}

#[test]
fn engines_undo_what_they_did() {
    let card = ready(1);
    let queue = &card.queues()[0];
    let data = bytes(&elements(64));
    let regions: Vec<_> = (0..3).map(|_| card.memory().allocate(64 * 32).expect("room")).collect();
    let [a, b, c] = [0, 1, 2].map(|index| regions[index].address());
    let ntt = |source, destination, direction| Job::Ntt {
        source,
        source_length: 64,
        destination,
        log_n: 6,
        direction,
        shift: [5, 6, 7, 8],
    };
    run(queue, &Job::CopyToCard { destination: a, data: &data }).expect("copied");
    for (there, back) in [
        (ntt(a, b, Direction::Forward), ntt(b, c, Direction::Inverse)),
        (
            Job::Invert { source: a, destination: b, length: 64 },
            Job::Invert { source: b, destination: c, length: 64 },
        ),
    ] {
        // Submitted at once: the queue keeps them in order.
        let jobs = [
            there,
            back,
            Job::CopyFromCard { source: c, bytes: 2048 },
            Job::CopyFromCard { source: b, bytes: 2048 },
        ];
        let tickets: Vec<_> = jobs.iter().map(|job| queue.submit(job, patience()).expect("room")).collect();
        let mut finished: Vec<Finished> =
            tickets.iter().map(|ticket| queue.wait(ticket, patience()).expect("ran")).collect();
        assert!(finished.pop().expect("four").data != data, "something happened");
        assert!(finished.pop().expect("three").data == data);
        assert!(finished.iter().all(|finished| finished.record.cycles > 0));
    }
}

#[test]
fn vector_program_runs_from_host_and_from_card_memory() {
    let card = ready(1);
    let queue = &card.queues()[0];
    let shape = Shape { registers: 1, inputs: 1, outputs: 1, constants: 0, instructions: 2 };
    let steps =
        [Instruction::Load { dst: 0, input: 0, rotation: -1 }, Instruction::Store { output: 0, src: 0 }];
    let image: Vec<u8> =
        shape.to_header().into_iter().chain(steps.iter().flat_map(|step| step.to_bytes())).collect();
    let data = elements(5);
    let rotated = bytes(&[data[4], data[0], data[1], data[2], data[3]]);
    run(queue, &Job::CopyToCard { destination: 0, data: &bytes(&data) }).expect("copied");
    run(queue, &Job::CopyToCard { destination: 4096, data: &image }).expect("copied");
    let programs =
        [ProgramSource::Image(&image), ProgramSource::Card { address: 4096, bytes: image.len() as u32 }];
    for (index, program) in (1..).zip(programs) {
        let address = 1024 * index;
        let job = Job::VectorProgram {
            rows: 5,
            program,
            inputs: &[VectorBinding { address: 0, length: 5 }],
            outputs: &[VectorBinding { address, length: 5 }],
        };
        run(queue, &job).expect("ran");
        assert!(
            run(queue, &Job::CopyFromCard { source: address, bytes: 160 }).expect("copied").data == rotated
        );
    }
}

#[test]
fn results_of_every_kind_arrive() {
    let card = ready(1);
    let queue = &card.queues()[0];
    run(queue, &Job::ExpandSmall { destination: 0, values: &[0, 0, 0] }).expect("expanded");
    let bases = 1024;
    run(queue, &Job::LoadBases { destination: bases, points: &[0; 3 * 64] }).expect("infinity is a point");
    let msm = Job::Msm { bases, offset: 0, scalars: 0, length: 3, bound: ScalarBound::Signed { bits: 1 } };
    assert_eq!(run(queue, &msm).expect("ran").data, [0; 64]);
    let evaluate = Job::Evaluate { source: 0, length: 3, points: &elements(2) };
    assert_eq!(run(queue, &evaluate).expect("ran").data, [0; 64]);
    let scan = Job::Scan { source: 0, destination: 2048, length: 3, kind: ScanKind::Sum };
    run(queue, &scan).expect("ran");
    let refused =
        run(queue, &Job::LoadBases { destination: bases, points: &[&[0; 64][..], &[1; 64]].concat() });
    assert!(matches!(refused, Err(CardError::Command { status: Status::PointNotOnCurve, detail: 1, .. })));
    assert_eq!(card.errors().expect("told").len(), 1);
}

#[test]
fn access_outside_of_every_mapping_is_reported_by_both_sides() {
    let card = ready(1);
    let queue = &card.queues()[0];
    let address = card.dma_buffer(64).expect("memory").address();
    let command =
        IoCommand::CopyToCard { destination: 0, bytes: 64, source: HostBuffer::Contiguous { address } };
    let ticket = queue.submit_command(&command, vec![], patience()).expect("room");
    let outcome = queue.wait(&ticket, patience());
    assert!(
        matches!(outcome, Err(CardError::Command { status: Status::HostMemoryFault, .. })),
        "{outcome:?}"
    );
    let faults = card.take_faults();
    assert!(
        !faults.is_empty() && faults.iter().all(|fault| !fault.write && fault.address >= address),
        "{faults:?}"
    );
    assert!(run(queue, &Job::Fence).is_ok(), "the card lives");
}

#[test]
fn queues_of_several_threads_do_not_mix() {
    let card = ready(4);
    std::thread::scope(|scope| {
        for queue in card.queues() {
            let region = card.memory().allocate(320).expect("room");
            scope.spawn(move || {
                for round in 0..20 {
                    let data = [queue.id() as u8 * 20 + round; 320];
                    let up = Job::CopyToCard { destination: region.address(), data: &data };
                    let up = queue.submit(&up, patience()).expect("room");
                    let down = Job::CopyFromCard { source: region.address(), bytes: 320 };
                    assert_eq!(run(queue, &down).expect("copied").data, data);
                    queue.wait(&up, patience()).expect("copied");
                }
            });
        }
    });
}

#[test]
fn card_that_was_reset_works_again() {
    let card = ready(1);
    let queue = card.queues()[0].clone();
    run(&queue, &Job::Fence).expect("ran");
    card.reset_engines();
    run(&queue, &Job::Fence).expect("engines come back by themselves");
    let lost = card.lose();
    assert_eq!(*lost.reason(), Loss::GivenUp);
    assert!(matches!(run(&queue, &Job::Fence), Err(CardError::Never(Loss::GivenUp))));
    let card = lost.reset().expect("alive").bring_up(&Settings::default()).expect("healthy");
    run(&card.queues()[0], &Job::Fence).expect("ran");
}
