//! The firmware against a fake card.

extern crate std;

use kiln_abi::admin::{AdminCommand, Event, Feature, LogPage, SelfTestKind};
use kiln_abi::entry::ENTRY_BYTES;
use kiln_abi::feature::{FeatureBlock, FeatureHead, FeatureKind};
use kiln_abi::io::{Direction, HostBuffer, IoCommand, Location, ScalarBound, ScanKind};
use kiln_abi::page::{ErrorEntry, Health, Identify};
use kiln_abi::program::{Instruction, Shape, VectorBinding};
use kiln_abi::record::EngineKind;
use kiln_abi::register::{
    CC_ENABLE, CC_SHUTDOWN, CSTS_FATAL, CSTS_READY, CSTS_SHUTDOWN_COMPLETE, CSTS_THROTTLED, Doorbell, MAGIC,
    RESET_KEY_CONTROLLER, RESET_KEY_ENGINES, Register,
};
use kiln_abi::{Completion, Entry, Status, TaskRecord};
use proptest::prelude::*;

use crate::fake::{Bench, CARD_BYTES, ENTRIES, HOST_BYTES, RECORD};
use crate::{Hardware, Readings};

const HOST: HostBuffer = HostBuffer::Contiguous { address: 0x4_0000 };
const INVERT: IoCommand = IoCommand::Invert { source: 0, destination: 3200, length: 100 };
const COPY: IoCommand = IoCommand::CopyToCard { destination: 0, bytes: 320, source: HOST };
const MSM: IoCommand =
    IoCommand::Msm { bases: 0, offset: 1, scalars: 6400, length: 9, bound: ScalarBound::Full, result: 0x40 };

#[test]
fn card_becomes_ready_when_enabled_and_not_before() {
    let mut bench = Bench::booted();
    bench.run();
    assert_eq!(bench.register(Register::Csts), 0);
    assert_eq!(bench.register(Register::Magic), MAGIC);
    assert_eq!(bench.register(Register::Vs), kiln_abi::INTERFACE_VERSION);
    bench.enable();
    assert_eq!(bench.register(Register::Csts), CSTS_READY);
    bench.hardware.set_register(Register::Cc.offset(), 0);
    bench.run();
    assert_eq!(bench.register(Register::Csts), 0);
}

#[test]
fn feature_chain_lists_every_block_once() {
    let mut bench = Bench::booted();
    let mut offset = bench.register(Register::FeatureChain);
    let mut kinds = 0;
    while offset != 0 {
        let words = [0, 4, 8].map(|at| bench.hardware.register(u64::from(offset) + at));
        let head = FeatureHead::parse(words, offset).expect("well formed");
        let kind = FeatureKind::from_code(head.kind).expect("known");
        let payload: [u32; 16] =
            core::array::from_fn(|i| bench.hardware.register(u64::from(offset) + 12 + 4 * i as u64));
        let block =
            FeatureBlock::parse(kind, &payload[..(head.length as usize - 12) / 4]).expect("well formed");
        if let Some(own) = bench.hardware.feature(kind) {
            assert_eq!(block, own);
        }
        kinds += 1;
        offset = head.next;
    }
    assert_eq!(kinds, FeatureKind::ALL.len() - 1, "all but the sensors, which the fake card lacks");
}

#[test]
fn impossible_admin_queue_is_fatal_until_disabled() {
    for (register, value) in [
        (Register::Aqa, 1 | 4 << 16),
        (Register::Aqa, 4 | 65 << 16),
        (Register::Asq, 0x1_0100),
        (Register::AcqHigh, u32::MAX),
    ] {
        let mut bench = Bench::ready(0);
        bench.hardware.set_register(Register::Cc.offset(), 0);
        bench.run();
        let good = bench.register(register);
        bench.hardware.set_register(register.offset(), value);
        if register == Register::AcqHigh {
            bench.hardware.set_register(Register::Acq.offset(), 0xffff_ffff);
        }
        bench.hardware.set_register(Register::Cc.offset(), CC_ENABLE);
        bench.run();
        assert_eq!(bench.register(Register::Csts), CSTS_FATAL, "{register:?} {good:#x} -> {value:#x}");
        bench.hardware.set_register(Register::Cc.offset(), 0);
        bench.run();
        assert_eq!(bench.register(Register::Csts), 0);
    }
}

#[test]
fn identify_and_logs_arrive_in_host_memory() {
    let mut bench = Bench::ready(0);
    bench.admin(AdminCommand::Identify { address: 0x100 });
    let page =
        Identify::parse(bench.hardware.host[0x100..].first_chunk().expect("long")).expect("well formed");
    assert_eq!((page.memory_bytes, page.clock_hz, page.model.as_str()), (CARD_BYTES, 1_000_000, "fake card"));
    bench.admin(AdminCommand::GetLog { page: LogPage::Health, address: 0x200, bytes: 64 });
    let health = Health::from_bytes(bench.hardware.host[0x200..].first_chunk().expect("long"));
    assert_eq!(health.commands_completed, 1);
    let outside = AdminCommand::Identify { address: HOST_BYTES as u64 - 8 };
    let completion = bench.admin_raw(outside).expect("an answer");
    assert_eq!(completion.status, Status::HostMemoryFault.code());
    bench.admin(AdminCommand::GetLog { page: LogPage::Errors, address: 0x300, bytes: 1024 });
    let newest =
        ErrorEntry::parse(bench.hardware.host[0x300..].first_chunk().expect("long")).expect("well formed");
    assert_eq!((newest.sequence, newest.status), (1, Status::HostMemoryFault.code()));
    for bytes in [0, 1025, u32::MAX] {
        let command = AdminCommand::GetLog { page: LogPage::Errors, address: 0x300, bytes };
        assert_eq!(bench.admin_raw(command).expect("an answer").status, Status::InvalidField.code());
    }
}

#[test]
fn what_the_firmware_lacks_it_says() {
    let mut bench = Bench::ready(0);
    for command in
        [AdminCommand::Attest { nonce: 0, result: 0 }, AdminCommand::SelfTest { kind: SelfTestKind::Full }]
    {
        let completion = bench.admin_raw(command).expect("an answer");
        assert_eq!(completion.status, Status::NotSupportedByFirmware.code(), "{command:?}");
    }
    bench.admin(AdminCommand::SelfTest { kind: SelfTestKind::Quick });
    bench.admin(AdminCommand::SetFeature { feature: Feature::WatchdogLimit, value: 99 });
    assert_eq!(bench.admin(AdminCommand::GetFeature { feature: Feature::WatchdogLimit }), 99);
}

#[test]
fn queues_that_cannot_be_are_refused() {
    let mut bench = Bench::ready(1);
    let mut status = |command| bench.admin_raw(command).expect("an answer").status;
    let completion =
        |id, entries, address, vector| AdminCommand::CreateCompletionQueue { id, entries, address, vector };
    let submission = |id, completion_queue| AdminCommand::CreateSubmissionQueue {
        id,
        entries: 4,
        address: 0x1000,
        completion_queue,
    };
    for id in [0, 1, 17, u16::MAX] {
        assert_eq!(status(completion(id, 4, 0x1000, None)), Status::InvalidQueue.code(), "{id}");
        assert_eq!(status(submission(id, 1)), Status::InvalidQueue.code(), "{id}");
    }
    assert_eq!(status(completion(2, 1, 0x1000, None)), Status::InvalidQueueShape.code());
    assert_eq!(status(completion(2, 65, 0x1000, None)), Status::InvalidQueueShape.code());
    assert_eq!(status(completion(2, 4, 0x1001, None)), Status::InvalidQueueShape.code());
    assert_eq!(status(completion(2, 4, 0x1000, Some(17))), Status::InvalidQueueShape.code());
    assert_eq!(status(submission(2, 0)), Status::InvalidQueue.code());
    assert_eq!(status(submission(2, 5)), Status::InvalidQueue.code());
    assert_eq!(
        status(AdminCommand::DeleteCompletionQueue { id: 1 }),
        Status::InvalidQueue.code(),
        "still in use"
    );
    assert_eq!(status(AdminCommand::DeleteSubmissionQueue { id: 1 }), Status::Success.code());
    assert_eq!(status(AdminCommand::DeleteSubmissionQueue { id: 1 }), Status::InvalidQueue.code());
    assert_eq!(status(AdminCommand::DeleteCompletionQueue { id: 1 }), Status::Success.code());
}

#[test]
fn record_is_written_before_its_completion_and_interrupt() {
    let mut bench = Bench::ready(1);
    bench.hardware.host_writes.clear();
    bench.hardware.interrupts.clear();
    bench.hardware.now = 77;
    bench.submit(1, 42, INVERT);
    assert_eq!(bench.take(1), None, "it runs");
    bench.hardware.end_job(EngineKind::Vector, Status::Success);
    bench.run();
    let writes: std::vec::Vec<usize> = bench.hardware.host_writes.iter().map(|write| write.1).collect();
    assert_eq!(writes, [64, 16]);
    assert_eq!(bench.hardware.interrupts, [1]);
    let completion = bench.take(1).expect("done");
    assert_eq!((completion.command_id, completion.submission_queue, completion.submission_head), (42, 1, 1));
    let record = TaskRecord::parse(bench.hardware.host[RECORD as usize..].first_chunk().expect("long"));
    let record = record.expect("well formed");
    assert_eq!((record.command_id, record.engine, record.start_cycle), (42, EngineKind::Vector, 77));
    assert_eq!(record.cycles, 10);
}

#[test]
fn phase_flips_with_every_wrap_of_the_ring() {
    let mut bench = Bench::ready(1);
    for id in 0..5 * ENTRIES {
        bench.submit(1, id, IoCommand::Fence);
        let completion = bench.take(1).expect("a fence completes at once");
        assert_eq!((completion.command_id, completion.phase), (id, (id / ENTRIES).is_multiple_of(2)));
    }
}

#[test]
fn one_queue_runs_in_order_and_two_at_the_same_time() {
    let mut bench = Bench::ready(2);
    bench.submit(1, 1, COPY);
    bench.submit(1, 2, MSM);
    bench.submit(2, 3, INVERT);
    assert_eq!(bench.hardware.started, [COPY, INVERT]);
    bench.hardware.end_job(EngineKind::Copy, Status::Success);
    bench.run();
    assert_eq!(bench.hardware.started, [COPY, INVERT, MSM]);
}

#[test]
fn queues_take_turns_on_one_engine() {
    let mut bench = Bench::ready(3);
    for queue in 1..=3 {
        for id in 0..3 {
            let command =
                IoCommand::Invert { source: 0, destination: 3200, length: u32::from(10 * queue + id) };
            bench.submit_entry(queue, command.to_entry(id, 0));
        }
    }
    bench.run();
    for _ in 0..9 {
        bench.hardware.end_job(EngineKind::Vector, Status::Success);
        bench.run();
    }
    let mut served = [0; 3];
    for (index, command) in bench.hardware.started.iter().enumerate() {
        let IoCommand::Invert { length, .. } = command else { panic!("only inversions") };
        served[(length / 10) as usize - 1] += 1;
        let (least, most) = (served.iter().min(), served.iter().max());
        assert!(most <= least.map(|least| least + 2).as_ref(), "after {index}: {served:?}");
    }
    assert_eq!(served, [3; 3]);
}

#[test]
fn full_completion_queue_holds_commands_back_and_loses_none() {
    let mut bench = Bench::ready(1);
    for id in 0..3 {
        bench.submit(1, id, IoCommand::Fence);
    }
    for id in 3..6 {
        bench.submit(1, id, IoCommand::Fence);
    }
    for id in 0..6 {
        assert_eq!(bench.take(1).expect("kept").command_id, id);
        bench.run();
    }
    assert_eq!(bench.take(1), None);
}

#[test]
fn addresses_outside_of_memory_never_reach_an_engine() {
    let (end, odd, bound) = (CARD_BYTES, 16, ScalarBound::Full);
    let shift = [1, 0, 0, 0];
    let ntt = |source, destination, source_length| IoCommand::Ntt {
        source,
        source_length,
        destination,
        log_n: 4,
        direction: Direction::Forward,
        shift,
    };
    let msm =
        |bases, offset, scalars, length| IoCommand::Msm { bases, offset, scalars, length, bound, result: 0 };
    let kind = ScanKind::Sum;
    let cases = [
        (IoCommand::CopyToCard { destination: end, bytes: 1, source: HOST }, Status::CardAddressRange),
        (IoCommand::CopyToCard { destination: 32, bytes: u64::MAX, source: HOST }, Status::CardAddressRange),
        (IoCommand::CopyFromCard { source: odd, bytes: 1, destination: HOST }, Status::CardAddressAlignment),
        (IoCommand::ExpandSmall { destination: 0, length: 2049, source: HOST }, Status::CardAddressRange),
        (IoCommand::LoadBases { destination: 0, length: 1025, source: HOST }, Status::CardAddressRange),
        (IoCommand::Powers { destination: end - 32, length: 2, parameters: 0 }, Status::CardAddressRange),
        (IoCommand::Place { source: 0, length: 4, destination: 96, before: 0, total: 4 }, Status::Overlap),
        (msm(0, 1020, 0, 5), Status::CardAddressRange),
        (msm(0, u32::MAX, 0, u32::MAX - 1), Status::Unsupported),
        (msm(0, u32::MAX, 0, 1 << 11), Status::CardAddressRange),
        (msm(odd, 0, 0, 1), Status::CardAddressAlignment),
        (msm(0, 0, end - 32, 2), Status::CardAddressRange),
        (ntt(0, end - 32 * 15, 16), Status::CardAddressRange),
        (ntt(u64::MAX - 31, 0, 16), Status::CardAddressRange),
        (ntt(0, 0, 16), Status::Overlap),
        (IoCommand::Scan { source: 0, destination: end - 32, length: 2, kind }, Status::CardAddressRange),
        (IoCommand::Invert { source: 0, destination: 32, length: 2 }, Status::Overlap),
        (
            IoCommand::Evaluate { source: end, length: 1, points: 0, points_count: 1, result: 0 },
            Status::CardAddressRange,
        ),
        (IoCommand::DivideLinear { source: 0, destination: 32, length: 2, root: shift }, Status::Overlap),
    ];
    for (command, expected) in cases {
        let mut bench = Bench::ready(1);
        bench.submit(1, 1, command);
        assert_eq!(bench.status(1), Some(expected), "{command:?}");
        assert_eq!(bench.hardware.started, [], "{command:?}");
    }
}

#[test]
fn ranges_that_just_fit_are_accepted() {
    let command =
        IoCommand::Place { source: CARD_BYTES - 64, length: 2, destination: 0, before: 1, total: 2046 };
    let shortest =
        IoCommand::DivideLinear { source: CARD_BYTES - 32, destination: CARD_BYTES, length: 1, root: [0; 4] };
    for command in [command, shortest] {
        let mut bench = Bench::ready(1);
        bench.submit(1, 1, command);
        assert_eq!(bench.hardware.started, [command]);
    }
}

/// Puts a program that copies its input at host address 0 and its bindings at 0x100.
fn place_program(bench: &mut Bench, input: VectorBinding, output: VectorBinding) -> IoCommand {
    let shape = Shape { registers: 1, inputs: 1, outputs: 1, constants: 0, instructions: 2 };
    let steps =
        [Instruction::Load { dst: 0, input: 0, rotation: 0 }, Instruction::Store { output: 0, src: 0 }];
    bench.hardware.host[..16].copy_from_slice(&shape.to_header());
    bench.hardware.host[16..24].copy_from_slice(&steps[0].to_bytes());
    bench.hardware.host[24..32].copy_from_slice(&steps[1].to_bytes());
    bench.hardware.host[0x100..0x110].copy_from_slice(&input.to_bytes());
    bench.hardware.host[0x110..0x120].copy_from_slice(&output.to_bytes());
    IoCommand::VectorProgram {
        rows: 4,
        program: Location::Host(0),
        program_bytes: 32,
        bindings: 0x100,
        bindings_bytes: 32,
    }
}

#[test]
fn vector_program_is_checked_with_its_bindings() {
    let vector = |address, length| VectorBinding { address, length };
    let cases = [
        (vector(0, 4), vector(128, 4), None),
        (vector(0, 4), vector(96, 4), Some(Status::Overlap)),
        (vector(0, 4), vector(128, 3), Some(Status::InvalidProgram)),
        (vector(0, u64::MAX), vector(128, 4), Some(Status::CardAddressRange)),
        (vector(8, 4), vector(128, 4), Some(Status::CardAddressAlignment)),
        (vector(0, 4), vector(CARD_BYTES - 96, 4), Some(Status::CardAddressRange)),
    ];
    for (input, output, expected) in cases {
        let mut bench = Bench::ready(1);
        let command = place_program(&mut bench, input, output);
        bench.submit(1, 1, command);
        assert_eq!(bench.status(1), expected, "{input:?} {output:?}");
        assert_eq!(bench.hardware.started.len(), usize::from(expected.is_none()));
    }
}

#[test]
fn program_in_card_memory_is_found_there() {
    let mut bench = Bench::ready(1);
    let bindings = VectorBinding { address: 0, length: 4 };
    let command = place_program(&mut bench, bindings, VectorBinding { address: 128, length: 4 });
    let image: std::vec::Vec<u8> = bench.hardware.host[..32].to_vec();
    bench.hardware.card[320..352].copy_from_slice(&image);
    bench.hardware.host[..32].fill(0xff);
    let IoCommand::VectorProgram { rows, program_bytes, bindings, bindings_bytes, .. } = command else {
        panic!("a program")
    };
    let at = |program| IoCommand::VectorProgram { rows, program, program_bytes, bindings, bindings_bytes };
    bench.submit(1, 1, at(Location::Host(0)));
    assert_eq!(bench.status(1), Some(Status::InvalidProgram));
    bench.submit(1, 2, at(Location::Card(CARD_BYTES - 16)));
    assert_eq!(bench.status(1), Some(Status::CardAddressAlignment));
    bench.submit(1, 3, at(Location::Card(CARD_BYTES)));
    assert_eq!(bench.status(1), Some(Status::CardAddressRange));
    bench.submit(1, 4, at(Location::Host(HOST_BYTES as u64)));
    assert_eq!(bench.status(1), Some(Status::HostMemoryFault));
    bench.submit(1, 5, at(Location::Card(320)));
    assert_eq!(bench.hardware.started.len(), 1);
}

#[test]
fn missing_engine_and_oversize_are_unsupported() {
    let mut bench = Bench::ready(1);
    bench.hardware.without = Some(FeatureKind::EngineMsm);
    bench.submit(1, 1, MSM);
    assert_eq!(bench.status(1), Some(Status::Unsupported));
    let shift = [1, 0, 0, 0];
    let direction = Direction::Forward;
    bench.submit(
        1,
        2,
        IoCommand::Ntt { source: 0, source_length: 1, destination: 32, log_n: 9, direction, shift },
    );
    assert_eq!(bench.status(1), Some(Status::Unsupported));
}

#[test]
fn program_larger_than_the_engine_is_unsupported() {
    let mut bench = Bench::ready(1);
    bench.hardware.vector_registers = 0;
    let (input, output) =
        (VectorBinding { address: 0, length: 4 }, VectorBinding { address: 128, length: 4 });
    let command = place_program(&mut bench, input, output);
    bench.submit(1, 1, command);
    assert_eq!(bench.status(1), Some(Status::Unsupported));
    bench.hardware.vector_registers = 1;
    bench.submit(1, 2, command);
    assert_eq!(bench.hardware.started, [command]);
}

#[test]
fn watchdog_ends_a_command_that_hangs() {
    let mut bench = Bench::ready(1);
    bench.admin(AdminCommand::SetFeature { feature: Feature::WatchdogLimit, value: 100 });
    bench.hardware.now = 50;
    bench.submit(1, 1, INVERT);
    assert_eq!(bench.firmware.deadline(), Some(151));
    bench.hardware.now = 150;
    bench.run();
    assert_eq!(bench.take(1), None);
    bench.hardware.now = 151;
    bench.run();
    assert_eq!(bench.status(1), Some(Status::EngineTimeout));
    assert!(bench.hardware.resets.contains(&EngineKind::Vector));
    bench.submit(1, 2, INVERT);
    bench.hardware.end_job(EngineKind::Vector, Status::Success);
    bench.run();
    assert_eq!(bench.status(1), Some(Status::Success), "the engine works again");
}

#[test]
fn abort_reaches_running_and_waiting_commands() {
    let mut bench = Bench::ready(2);
    bench.submit(1, 1, INVERT);
    bench.submit(2, 2, INVERT);
    assert_eq!(bench.admin(AdminCommand::Abort { queue: 2, command_id: 9 }), 0, "no such command");
    assert_eq!(bench.admin(AdminCommand::Abort { queue: 2, command_id: 2 }), 1);
    assert_eq!(bench.status(2), Some(Status::Aborted));
    assert!(bench.hardware.resets.is_empty(), "it was waiting");
    assert_eq!(bench.admin(AdminCommand::Abort { queue: 1, command_id: 1 }), 1);
    assert_eq!(bench.status(1), Some(Status::Aborted));
    assert_eq!(bench.hardware.resets, [EngineKind::Vector]);
}

#[test]
fn engine_reset_key_aborts_work_and_keeps_the_queues() {
    let mut bench = Bench::ready(2);
    bench.submit(1, 1, INVERT);
    bench.submit(2, 2, INVERT);
    bench.hardware.set_register(Register::Reset.offset(), RESET_KEY_ENGINES);
    bench.run();
    assert_eq!((bench.status(1), bench.status(2)), (Some(Status::Aborted), Some(Status::Aborted)));
    bench.submit(1, 3, IoCommand::Fence);
    assert_eq!(bench.status(1), Some(Status::Success));
    bench.hardware.set_register(Register::Reset.offset(), RESET_KEY_CONTROLLER);
    bench.run();
    assert_eq!(bench.register(Register::Csts), 0);
    assert_eq!(bench.register(Register::Cc), 0);
}

#[test]
fn events_wait_for_requests_and_requests_for_events() {
    let mut bench = Bench::ready(1);
    assert_eq!(bench.admin_raw(AdminCommand::AsyncEvent), None);
    bench.submit(1, 1, INVERT);
    bench.hardware.end_job(EngineKind::Vector, Status::EngineFault);
    bench.run();
    assert_eq!(bench.take(0).expect("told").result, u64::from(Event::ErrorLogged.code()));
    bench.hardware.readings = Readings { throttled: true, ..Readings::default() };
    bench.run();
    assert_eq!(bench.register(Register::Csts), CSTS_READY | CSTS_THROTTLED);
    let told = bench.admin_raw(AdminCommand::AsyncEvent).expect("an event waited");
    assert_eq!(told.result, u64::from(Event::Throttled.code()));
    for _ in 0..4 {
        assert_eq!(bench.admin_raw(AdminCommand::AsyncEvent), None);
    }
    let refused = bench.admin_raw(AdminCommand::AsyncEvent).expect("an answer");
    assert_eq!(refused.status, Status::TooManyEventRequests.code());
}

#[test]
fn lying_doorbells_and_lost_rings_stop_the_controller() {
    for doorbell in [Doorbell::SubmissionTail(1), Doorbell::CompletionHead(1), Doorbell::SubmissionTail(0)] {
        let mut bench = Bench::ready(1);
        bench.submit_entry(1, IoCommand::Fence.to_entry(1, 0));
        bench.hardware.doorbells.insert(doorbell.offset(), u32::from(ENTRIES));
        bench.run();
        assert_eq!(bench.register(Register::Csts), CSTS_FATAL, "{doorbell:?}");
    }
    let mut bench = Bench::ready(1);
    let address = HOST_BYTES as u64;
    bench.admin(AdminCommand::CreateCompletionQueue { id: 2, entries: 4, address, vector: None });
    let ring =
        AdminCommand::CreateSubmissionQueue { id: 2, entries: 4, address: 0x1_4000, completion_queue: 2 };
    bench.admin(ring);
    bench.submit(2, 1, IoCommand::Fence);
    assert_eq!(bench.register(Register::Csts), CSTS_FATAL);
}

#[test]
fn disabling_stops_the_engines() {
    let mut bench = Bench::ready(1);
    bench.submit(1, 1, INVERT);
    bench.hardware.set_register(Register::Cc.offset(), 0);
    bench.run();
    assert!(bench.hardware.running.is_empty());
    assert_eq!(bench.register(Register::Csts), 0);
}

#[test]
fn shutdown_lets_running_work_finish_and_starts_nothing_new() {
    let mut bench = Bench::ready(2);
    bench.submit(1, 1, INVERT);
    bench.hardware.set_register(Register::Cc.offset(), CC_ENABLE | CC_SHUTDOWN);
    bench.submit(2, 2, COPY);
    assert_eq!(bench.register(Register::Csts), CSTS_READY);
    bench.hardware.end_job(EngineKind::Vector, Status::Success);
    bench.run();
    assert_eq!(bench.register(Register::Csts), CSTS_READY | CSTS_SHUTDOWN_COMPLETE);
    assert_eq!(bench.hardware.started, [INVERT]);
}

#[test]
fn silence_beyond_the_keep_alive_timeout_stops_the_controller() {
    let mut bench = Bench::ready(0);
    bench.admin(AdminCommand::SetFeature { feature: Feature::KeepAliveTimeout, value: 2 });
    bench.hardware.now = 2000;
    bench.admin(AdminCommand::KeepAlive);
    bench.hardware.now = 4000;
    bench.run();
    assert_eq!(bench.register(Register::Csts), CSTS_READY);
    bench.hardware.now = 4001;
    bench.run();
    assert_eq!(bench.register(Register::Csts), CSTS_FATAL);
}

proptest! {
    #[test]
    fn random_entries_are_answered_or_started_and_never_panic(
        queue in 0u16..2,
        opcode in 0u8..0x28,
        bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), Just(0xff_u8), any::<u8>()], ENTRY_BYTES),
    ) {
        let mut raw = [0; ENTRY_BYTES];
        raw.copy_from_slice(&bytes);
        raw[0] = opcode;
        let mut bench = Bench::ready(1);
        let entry = Entry::from_bytes(&raw);
        bench.submit_entry(queue, entry);
        bench.run();
        let answer: Option<Completion> = bench.take(queue);
        let waits = queue == 0 && opcode == 0x0c;
        prop_assert!(answer.is_some() || waits || bench.hardware.started.len() == 1);
        if let Some(completion) = answer {
            prop_assert_eq!(completion.command_id, entry.command_id);
            prop_assert!(Status::from_code(completion.status).is_some());
        }
    }
}
