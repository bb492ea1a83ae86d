//! Moving bytes.

use std::sync::Arc;
use std::time::Instant;

use kiln_abi::register::BAR_MEMORY_WINDOW;
use kiln_abi::{HostBuffer, IoCommand};

use super::{Bench, Fault, Outcome, differs, patience, pattern, same_bytes};
use crate::dma::DmaBuffer;
use crate::job::Job;

/// Lengths that cross the seams of words, packets and pages.
const LENGTHS: [usize; 8] = [1, 3, 63, 64, 65, 4095, 4097, 70_001];
/// Offsets in host memory, likewise.
const OFFSETS: [usize; 5] = [0, 1, 7, 64, 4093];
/// Bytes of the copies whose time is taken.
const BANDWIDTH_BYTES: usize = 16 << 20;
/// Bytes at each place of card memory that is written and read.
const PLACE_BYTES: usize = 4096;

fn copy(bench: &Bench, command: &IoCommand, buffer: &Arc<DmaBuffer>) -> Result<(), Fault> {
    let queue = bench.queue()?;
    let ticket = queue.submit_command(command, vec![buffer.clone()], patience())?;
    queue.wait(&ticket, patience())?;
    Ok(())
}

/// Copies both ways between every offset, and looks that nothing beside them changed.
pub(super) fn unaligned_copies(bench: &Bench) -> Outcome {
    let room = 80_000;
    let buffer = Arc::new(bench.card.dma_buffer(room)?);
    let mut copies = 0;
    for (seed, length) in (1..).zip(LENGTHS) {
        for offset in OFFSETS {
            let data = pattern(seed, length);
            let address = buffer.address() + offset as u64;
            let host = HostBuffer::Contiguous { address };
            buffer.write(0, &vec![0xa5; room])?;
            buffer.write(offset, &data)?;
            copy(
                bench,
                &IoCommand::CopyToCard { destination: 64, bytes: length as u64, source: host },
                &buffer,
            )?;
            buffer.write(0, &vec![0x5a; room])?;
            let back = IoCommand::CopyFromCard { source: 64, bytes: length as u64, destination: host };
            copy(bench, &back, &buffer)?;
            let mut expected = vec![0x5a; room];
            expected[offset..offset + length].copy_from_slice(&data);
            let mut got = vec![0; room];
            buffer.read(0, &mut got)?;
            same_bytes(&format!("{length} bytes at offset {offset}"), &expected, &got)?;
            copies += 2;
        }
    }
    Ok(format!("{copies} copies"))
}

/// Gathers from pieces in any order, scatters into others.
pub(super) fn scattered_copy(bench: &Bench) -> Outcome {
    let buffer = Arc::new(bench.card.dma_buffer(40_000)?);
    let data = pattern(77, 9000);
    let up = [(20_003_u64, 5000_u64), (30_000, 1), (4096, 3999)];
    let down = [(4099_u64, 1_u64), (25_000, 8000), (15_001, 999)];
    let list = |pieces: &[(u64, u64)]| -> Result<HostBuffer, Fault> {
        for (index, (offset, length)) in pieces.iter().enumerate() {
            buffer.write(16 * index, &(buffer.address() + offset).to_le_bytes())?;
            buffer.write(16 * index + 8, &length.to_le_bytes())?;
        }
        Ok(HostBuffer::Scattered { list: buffer.address(), segments: pieces.len() as u32 })
    };
    let mut at = 0;
    for (offset, length) in up {
        buffer.write(offset as usize, &data[at..at + length as usize])?;
        at += length as usize;
    }
    let command = IoCommand::CopyToCard { destination: 0, bytes: 9000, source: list(&up)? };
    copy(bench, &command, &buffer)?;
    let command = IoCommand::CopyFromCard { source: 0, bytes: 9000, destination: list(&down)? };
    copy(bench, &command, &buffer)?;
    let mut got = Vec::new();
    for (offset, length) in down {
        let mut piece = vec![0; length as usize];
        buffer.read(offset as usize, &mut piece)?;
        got.extend(piece);
    }
    same_bytes("scattered bytes", &data, &got)?;
    Ok("3 pieces each way".to_owned())
}

/// How fast large copies are, by the host's clock.
pub(super) fn bandwidth(bench: &Bench) -> Outcome {
    let buffer = Arc::new(bench.card.dma_buffer(BANDWIDTH_BYTES)?);
    buffer.write(0, &pattern(5, BANDWIDTH_BYTES))?;
    let host = HostBuffer::Contiguous { address: buffer.address() };
    let bytes = BANDWIDTH_BYTES as u64;
    let timed = |command: IoCommand| -> Result<f64, Fault> {
        let started = Instant::now();
        copy(bench, &command, &buffer)?;
        Ok(bytes as f64 / started.elapsed().as_secs_f64() / 1e6)
    };
    let up = timed(IoCommand::CopyToCard { destination: 0, bytes, source: host })?;
    let down = timed(IoCommand::CopyFromCard { source: 0, bytes, destination: host })?;
    Ok(format!("{up:.0} MB/s to the card, {down:.0} MB/s from it"))
}

/// Writes different data to places spread over all of card memory, then reads them all.
pub(super) fn memory_pattern(bench: &Bench) -> Outcome {
    let size = bench.card.identify().memory_bytes;
    let last = size - PLACE_BYTES as u64;
    // Every address bit has its place, so that a bit that is stuck or swapped shows.
    let mut places: Vec<u64> =
        (12..u64::BITS).map(|bit| 1 << bit).take_while(|place| *place <= last).collect();
    places.extend([0, last]);
    places.sort_unstable();
    places.dedup();
    for place in &places {
        let data = pattern(*place + 1, PLACE_BYTES);
        bench.run(&Job::CopyToCard { destination: *place, data: &data })?;
    }
    for place in &places {
        let got = bench.run(&Job::CopyFromCard { source: *place, bytes: PLACE_BYTES as u64 })?.data;
        same_bytes(&format!("card memory at {place:#x}"), &pattern(*place + 1, PLACE_BYTES), &got)?;
    }
    Ok(format!("{} places of {} MiB", places.len(), size >> 20))
}

/// What goes in through one way comes out through the other.
pub(super) fn memory_window(bench: &Bench) -> Outcome {
    let data = pattern(9, 64);
    bench.run(&Job::CopyToCard { destination: 4096, data: &data })?;
    for (offset, word) in (4096..).step_by(4).zip(data.as_chunks::<4>().0) {
        let (expected, got) = (u32::from_le_bytes(*word), bench.transport.read32(BAR_MEMORY_WINDOW, offset));
        if got == u32::MAX && offset == 4096 {
            return Ok("the card has none".to_owned());
        }
        if got != expected {
            return Err(differs(format!("window at {offset:#x}"), expected, got));
        }
    }
    bench.transport.write32(BAR_MEMORY_WINDOW, 4128, 0x0403_0201);
    let got = bench.run(&Job::CopyFromCard { source: 4128, bytes: 4 })?.data;
    same_bytes("written through the window", &[1, 2, 3, 4], &got)?;
    Ok("16 words read, 1 written".to_owned())
}
