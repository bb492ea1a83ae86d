//! The card: an endpoint on the host's bus, its control program, and the machine that the program controls.
//!
//! ```text
//! host ──read32, write32──► Registers ◄──────────────┐
//!      ◄─DMA, interrupts─┐                           │
//!                        └── Machine ◄── Hardware ── Firmware (kiln-firmware, unchanged)
//!                              ├ jobs: copy, MSM, NTT, vector; each ends at a point in simulated time
//!                              └ Datapath: engines, card memory, link
//! ```
//! The card owns no thread. [`Card::advance`] lets the control program run; when that has nothing to do, simulated time
//! jumps to the end of the next job. So the same accesses by the host give the same times, cycle by cycle.

mod copy;
mod datapath;
mod job;
mod kernels;
mod machine;
mod registers;
mod self_test;

pub use machine::Totals;
pub use registers::VECTORS;

use crate::fault::{Condition, Fault, FaultPlan};
use crate::flash::{FlashMemory, PowerCut};
use crate::image::Conduct;
use crate::profile::Profile;
use crate::time::Picoseconds;
use kiln_abi::register::{ALL_ONES, BAR_MEMORY_WINDOW, BAR_REGISTERS};
use kiln_abi::{Activity, Endpoint, HostMemory, Interrupts};
use kiln_firmware::{Firmware, Hardware, boot};
use machine::Machine;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds of the control program in one call of [`Endpoint::advance`].
const ROUNDS: usize = 16;
/// Longest pause while a fault holds a job back.
const HOLD_STEP: Duration = Duration::from_millis(2);
/// How long the boot watchdog waits for an image. An assumption. \[ps\]
const BOOT_WATCHDOG: Picoseconds = 500_000_000_000;
/// Instructions of the control processor in a round that did something. An assumption. \[cycles\]
const ROUND_CYCLES: u64 = 100;

/// A simulated card.
pub struct Card {
    firmware: Firmware,
    machine: Machine,
    /// The image that runs never becomes ready.
    stuck: bool,
}

impl Card {
    /// A card of this model with serial number 1, powered up and not yet connected.
    pub fn new(profile: Profile) -> Card {
        Card::with_serial(profile, 1)
    }

    /// The same with a serial number of its own.
    pub fn with_serial(profile: Profile, serial: u64) -> Card {
        let machine = Machine::new(&profile, serial);
        let mut card = Card { firmware: Firmware::new(), machine, stuck: false };
        card.start();
        card
    }

    /// The same card with this flash, whose images must be signed by this Ed25519 key.
    pub fn with_flash(mut self, flash: FlashMemory, firmware_key: [u8; 32]) -> Card {
        (self.machine.flash, self.machine.firmware_key) = (flash, firmware_key);
        self.start();
        self
    }

    /// The same card with faults to come.
    pub fn with_faults(mut self, plan: FaultPlan) -> Card {
        if let Some(cut) = plan.power_cut() {
            self.machine.flash.cut_power(cut);
        }
        self.machine.condition = Condition::planned(plan);
        self
    }

    /// Lets the card suffer a fault, now or with its next job.
    pub fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::PowerLoss => self.machine.flash.cut_power(PowerCut::at(0)),
            other => self.machine.condition.suffer(other),
        }
    }

    /// Takes the flash out of a card that is not used any more.
    pub fn into_flash(mut self) -> FlashMemory {
        self.machine.flash.power_up();
        self.machine.flash
    }

    /// Starts an image. One that does not start is ended by the boot watchdog, and another has its turn.
    fn start(&mut self) {
        let mut running = boot::select(&mut self.machine);
        let mut conduct = self.machine.conduct(running.slot);
        while conduct == Conduct::Hangs {
            self.machine.wait_until(self.machine.now + BOOT_WATCHDOG);
            running = boot::select_after(&mut self.machine, &running);
            conduct = self.machine.conduct(running.slot);
        }
        self.stuck = conduct == Conduct::NeverReady;
        self.firmware.boot(&mut self.machine, running);
    }

    /// Its serial number.
    pub fn serial(&self) -> u64 {
        self.machine.serial()
    }

    /// Simulated time since reset. \[ps\]
    pub fn now(&self) -> Picoseconds {
        self.machine.now
    }

    /// What the engines have done since reset.
    pub fn totals(&self) -> Totals {
        self.machine.totals
    }

    /// Moves the time to the next event; false when there is none.
    fn wait_for_event(&mut self) -> bool {
        if let Some(until) = self.machine.held_until() {
            // In short steps, so that register accesses are not held up for long.
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(HOLD_STEP));
            return true;
        }
        let watchdog = self.firmware.deadline().map(|cycle| self.machine.data.clock.duration_of(cycle));
        let Some(end) = self.machine.next_end().into_iter().chain(watchdog).min() else { return false };
        self.machine.wait_until(end);
        true
    }
}

impl Endpoint<Arc<dyn HostMemory>, Arc<dyn Interrupts>> for Card {
    fn attach(&mut self, memory: Arc<dyn HostMemory>, interrupts: Arc<dyn Interrupts>) {
        self.machine.data.host = Some(memory);
        self.machine.interrupts = Some(interrupts);
    }

    fn read32(&mut self, bar: u8, offset: u64) -> u32 {
        if !self.machine.answers() {
            return ALL_ONES;
        }
        match bar {
            BAR_REGISTERS => {
                let cycle = self.machine.cycles();
                self.machine.registers.host_read(offset, cycle)
            }
            BAR_MEMORY_WINDOW if offset.is_multiple_of(4) => {
                let mut word = [0; 4];
                self.machine
                    .data
                    .memory
                    .read(offset, &mut word)
                    .map_or(ALL_ONES, |()| u32::from_le_bytes(word))
            }
            _ => ALL_ONES,
        }
    }

    fn write32(&mut self, bar: u8, offset: u64, value: u32) {
        if !self.machine.answers() {
            return;
        }
        match bar {
            BAR_REGISTERS => {
                for vector in self.machine.registers.host_write(offset, value) {
                    self.machine.interrupt(vector);
                }
            }
            BAR_MEMORY_WINDOW if offset.is_multiple_of(4) => {
                // A write beyond the memory is dropped.
                let _ = self.machine.data.memory.write(offset, &value.to_le_bytes());
            }
            _ => {}
        }
    }

    fn advance(&mut self) -> Activity {
        for _ in 0..ROUNDS {
            // Looked at in every round: the job whose start crashed the control program must not be completed by it.
            if self.machine.condition.crashed || self.stuck || !self.machine.flash.is_powered() {
                return Activity::Idle;
            }
            match self.firmware.step(&mut self.machine) {
                Activity::Busy => self.machine.spend(ROUND_CYCLES),
                Activity::Idle if self.wait_for_event() => {}
                Activity::Idle => return Activity::Idle,
            }
        }
        Activity::Busy
    }

    fn reset(&mut self) {
        self.machine.reset();
        self.start();
    }
}

#[cfg(test)]
mod tests;
