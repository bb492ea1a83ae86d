//! Registers, interrupts, faults and resets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_abi::register::{ALL_ONES, BAR_REGISTERS, BAR_REGISTERS_BYTES, MAGIC, Register};
use kiln_abi::{HostBuffer, IoCommand, Status};

use super::{Bench, Fault, INTERRUPT_PATIENCE, Outcome, differs, patience, pattern, run_on, same_bytes};
use crate::card::{Card, Settings};
use crate::error::CardError;
use crate::job::Job;
use crate::transport::pci;
use crate::wait::{Deadline, wait_for_status};

/// How long a masked interrupt is given to be raised by mistake.
const MASKED: Duration = Duration::from_millis(20);

fn word(bench: &Bench, register: Register) -> u32 {
    bench.transport.read32(BAR_REGISTERS, register.offset())
}

/// Read-only registers keep their value, clocks move, and nothing answers beyond the BAR.
pub(super) fn registers(bench: &Bench) -> Outcome {
    for register in [Register::Magic, Register::Vs, Register::Cap, Register::Serial] {
        let before = word(bench, register);
        bench.transport.write32(BAR_REGISTERS, register.offset(), !before);
        let after = word(bench, register);
        if after != before {
            return Err(differs(format!("read-only register {}", register.name()), before, after));
        }
    }
    if word(bench, Register::Magic) != MAGIC {
        return Err(differs("Magic", MAGIC, word(bench, Register::Magic)));
    }
    let (cycles, heartbeat) = (bench.card.cycles()?, word(bench, Register::Heartbeat));
    bench.card.keep_alive()?;
    if bench.card.cycles()? <= cycles {
        return Err(differs("the cycle counter", "more than before", cycles));
    }
    if word(bench, Register::Heartbeat) == heartbeat {
        return Err(differs("the heartbeat", "another value than before", heartbeat));
    }
    let beyond = bench.transport.read32(BAR_REGISTERS, BAR_REGISTERS_BYTES);
    if beyond != ALL_ONES {
        return Err(differs("a read beyond BAR0", ALL_ONES, beyond));
    }
    Ok(format!("version {:#x}", word(bench, Register::Vs)))
}

/// Speed and width of the link, where the card has one.
pub(super) fn link(bench: &Bench) -> Outcome {
    Ok(match pci::link(&*bench.transport) {
        None => "it has none".to_owned(),
        Some(link) => link.to_string(),
    })
}

fn wait_until_raised(bench: &Bench, vector: u16, seen: u64) -> Result<(), Fault> {
    let until = Instant::now() + INTERRUPT_PATIENCE;
    while bench.transport.interrupts_seen(vector) <= seen {
        if Instant::now() >= until {
            return Err(differs(format!("interrupts on vector {vector}"), "one more", seen));
        }
        bench.transport.wait_interrupt(vector, seen, until);
    }
    Ok(())
}

/// Every queue's completion raises the queue's own vector, and no other queue's.
pub(super) fn every_vector(bench: &Bench) -> Outcome {
    let vectors: Vec<u16> = bench.card.queues().iter().map(|queue| queue.vector()).collect();
    for queue in bench.card.queues() {
        let before: Vec<u64> =
            vectors.iter().map(|vector| bench.transport.interrupts_seen(*vector)).collect();
        let own = bench.transport.interrupts_seen(queue.vector());
        run_on(queue, &Job::Fence)?;
        wait_until_raised(bench, queue.vector(), own)?;
        for (vector, before) in vectors.iter().zip(before).filter(|(vector, _)| **vector != queue.vector()) {
            let after = bench.transport.interrupts_seen(*vector);
            if after != before {
                return Err(differs(format!("interrupts on vector {vector}"), before, after));
            }
        }
    }
    let admin = bench.transport.interrupts_seen(0);
    bench.card.keep_alive()?;
    wait_until_raised(bench, 0, admin)?;
    Ok(format!("{} vectors", vectors.len() + 1))
}

/// A masked interrupt waits until it is unmasked.
pub(super) fn masks(bench: &Bench) -> Outcome {
    let queue = bench.queue()?;
    let vector = queue.vector();
    let bit = 1_u32.checked_shl(u32::from(vector)).unwrap_or(0);
    // Nothing of the last check may still be on its way.
    let settled = Deadline::after(MASKED);
    bench.transport.wait_interrupt(vector, bench.transport.interrupts_seen(vector), settled.instant());
    bench.transport.write32(BAR_REGISTERS, Register::Intms.offset(), bit);
    let mask = word(bench, Register::Intms);
    let seen = bench.transport.interrupts_seen(vector);
    let ticket = queue.submit(&Job::Fence, patience())?;
    let ended = patience();
    while !queue.is_done(&ticket)? && !ended.passed() {
        std::thread::sleep(Duration::from_micros(100));
    }
    bench.transport.wait_interrupt(vector, seen, Instant::now() + MASKED);
    let masked = bench.transport.interrupts_seen(vector);
    bench.transport.write32(BAR_REGISTERS, Register::Intmc.offset(), bit);
    queue.wait(&ticket, patience())?;
    if mask != bit || masked != seen {
        return Err(differs(
            "masked vector: mask, interrupts",
            format!("{bit}, {seen}"),
            format!("{mask}, {masked}"),
        ));
    }
    wait_until_raised(bench, vector, seen)?;
    Ok(format!("vector {vector}"))
}

/// An address that is mapped no more is reported, in both directions, and the card goes on.
pub(super) fn dma_fault(bench: &Bench) -> Outcome {
    let queue = bench.queue()?;
    let gone = bench.card.dma_buffer(8192)?.address();
    let kept = Arc::new(bench.card.dma_buffer(4096)?);
    let run = |command: IoCommand| {
        let ticket = queue.submit_command(&command, vec![kept.clone()], patience())?;
        queue.wait(&ticket, patience()).map(|_| ())
    };
    let at = |address| HostBuffer::Contiguous { address };
    let cases = [
        IoCommand::CopyToCard { destination: 0, bytes: 64, source: at(gone) },
        IoCommand::CopyFromCard { source: 0, bytes: 64, destination: at(gone) },
        // It begins inside a mapping and runs over its end.
        IoCommand::CopyToCard { destination: 0, bytes: 8192, source: at(kept.address()) },
    ];
    for command in cases {
        match run(command) {
            Err(CardError::Command { status: Status::HostMemoryFault, .. }) => {}
            Err(other) => return Err(other.into()),
            Ok(()) => return Err(differs("an access to unmapped memory", "HostMemoryFault", "Success")),
        }
    }
    run(IoCommand::CopyToCard { destination: 0, bytes: 64, source: at(kept.address()) })?;
    let _ = bench.card.take_faults();
    Ok("3 faults reported and survived".to_owned())
}

/// A command that is aborted ends once, done or aborted; after an engine reset the queues go on.
pub(super) fn abort_and_engine_reset(bench: &Bench) -> Outcome {
    let queue = bench.queue()?;
    let data = pattern(3, 1 << 16);
    let job = Job::CopyToCard { destination: 0, data: &data };
    let ticket = queue.submit(&job, patience())?;
    let aborted = bench.card.abort(&ticket)?;
    match queue.wait(&ticket, patience()) {
        Ok(_) if !aborted => {}
        Err(CardError::Command { status: Status::Aborted, .. }) => {}
        Ok(_) => return Err(differs("an aborted command", "Aborted", "Success")),
        Err(other) => return Err(other.into()),
    }
    let tickets: Result<Vec<_>, CardError> = (0..4).map(|_| queue.submit(&job, patience())).collect();
    bench.card.reset_engines();
    for ticket in tickets? {
        match queue.wait(&ticket, patience()) {
            Ok(_) | Err(CardError::Command { status: Status::Aborted, .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    bench.run(&job)?;
    same_bytes("after the reset", &data, &bench.run(&Job::CopyFromCard { source: 0, bytes: 1 << 16 })?.data)?;
    Ok(format!("abort {}", if aborted { "in time" } else { "after the end" }))
}

/// After a function-level reset the card is as after power-up, and can be brought up again.
pub(super) fn function_level_reset(bench: Bench) -> Outcome {
    let Bench { transport, card } = bench;
    let ticket = match card.queue(0) {
        Some(queue) => Some((queue.clone(), queue.submit(&Job::Fence, patience())?)),
        None => None,
    };
    let found = card.lose().reset()?;
    if let Some((queue, ticket)) = ticket
        && let Ok(_) | Err(CardError::NotYet { .. }) = queue.wait(&ticket, patience())
    {
        return Err(differs("a wait on a card that was reset", "Never or Gone", "a result"));
    }
    wait_for_status(&*transport, u32::MAX, 0, "the card's reset", patience())?;
    let card: Card<_> = found.bring_up(&Settings {
        queues: 1,
        entries: 8,
        timeout: super::PATIENCE,
        polling: Duration::ZERO,
    })?;
    let again = Bench { transport, card };
    let data = pattern(11, 1000);
    again.run(&Job::CopyToCard { destination: 0, data: &data })?;
    same_bytes("after the reset", &data, &again.run(&Job::CopyFromCard { source: 0, bytes: 1000 })?.data)?;
    Ok("brought up again".to_owned())
}
