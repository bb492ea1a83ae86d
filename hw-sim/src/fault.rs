//! Faults on request: what a card may suffer, when, and how it shows.
//!
//! | fault | what happens | how it ends |
//! |---|---|---|
//! | lost-interrupt | the next interrupt is not raised | by itself |
//! | hung-engine | the next job never ends | engine or function-level reset, abort |
//! | corrupt-result | one bit of the next result that goes to the host is wrong | by itself |
//! | ecc-single | a memory error is corrected and counted | by itself |
//! | ecc-double | the next job ends with MemoryError | by itself |
//! | link-drop | reads give all ones, writes and DMA are lost, for some accesses; then the link is degraded | by itself |
//! | removal | the same, for ever | never |
//! | timeout | the next job ends only after a while of the host's time | by itself |
//! | firmware-crash | the control program stops; registers still answer | function-level reset |
//! | power-loss | power fails in the middle of the next change of flash, of which half is done; reads give all ones | function-level reset, which stands for power that comes back |
//!
//! A plan counts jobs, and for power-loss the changes of flash: erased sectors and programmed pages.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::flash::PowerCut;

/// Host accesses that a dropped link swallows.
const DROPPED_ACCESSES: u32 = 40;
/// How long a job that times out takes.
const TIMEOUT: Duration = Duration::from_millis(700);
/// Jobs among which the faults of a seed fall.
const SEED_JOBS: u64 = 150;
/// Changes of flash among which power fails: those of an update with a small image.
const SEED_FLASH_STEPS: u64 = 32;
/// Most faults of a seed.
const SEED_FAULTS: u64 = 3;

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// What a card may suffer: see the module's table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[doc = $doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$name),*];

            /// Its name on the command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Fault::$name => $text,)*
                }
            }

            /// Whether a job can suffer it; loss of power strikes flash.
            pub const fn strikes_jobs(self) -> bool {
                !matches!(self, Fault::PowerLoss)
            }
        }
    };
}

faults! {
    /// An interrupt is not raised.
    LostInterrupt = "lost-interrupt",
    /// A job never ends.
    HungEngine = "hung-engine",
    /// A bit of a result is wrong.
    CorruptResult = "corrupt-result",
    /// A memory error that was corrected.
    EccSingle = "ecc-single",
    /// A memory error that was not.
    EccDouble = "ecc-double",
    /// The link is down for a while.
    LinkDrop = "link-drop",
    /// The card is pulled out.
    Removal = "removal",
    /// A job takes long.
    Timeout = "timeout",
    /// The control program stops.
    FirmwareCrash = "firmware-crash",
    /// Power fails while flash is written.
    PowerLoss = "power-loss",
}

/// A text that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no fault; write seed=NUMBER, update-seed=NUMBER, or NAME or NAME@JOB with one of {known}"
)]
pub struct FaultError {
    text: String,
    known: String,
}

/// When which fault happens: at the start of a job, or for loss of power at a change of flash, counted from 0 since
/// power-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    faults: Vec<(u64, Fault)>,
    /// Which part of the change of flash is done when power fails, in thousandths; the half where nothing is said.
    part: Option<u16>,
}

/// A generator of numbers below a bound: SplitMix64 (Steele, Lea and Flood, 2014).
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |bound| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}

impl FaultPlan {
    /// One to three faults that jobs can suffer, chosen by a number: the same number, the same faults.
    pub fn from_seed(seed: u64) -> FaultPlan {
        let mut below = numbers(seed);
        let count = 1 + below(SEED_FAULTS);
        let kinds: Vec<Fault> = Fault::ALL.iter().copied().filter(|fault| fault.strikes_jobs()).collect();
        let faults = (0..count).map(|_| (below(SEED_JOBS), kinds[below(kinds.len() as u64) as usize]));
        FaultPlan { faults: faults.collect(), part: None }
    }

    /// Power that fails during a firmware update, at a change of flash and after a part of it that are chosen by a number.
    pub fn update_from_seed(seed: u64) -> FaultPlan {
        let mut below = numbers(seed);
        let step = below(SEED_FLASH_STEPS);
        FaultPlan { faults: vec![(step, Fault::PowerLoss)], part: Some(below(1001) as u16) }
    }

    /// When power fails, if it does.
    pub(crate) fn power_cut(&self) -> Option<PowerCut> {
        let steps = self.faults.iter().filter(|(_, fault)| *fault == Fault::PowerLoss).map(|(step, _)| *step);
        let cut = PowerCut::at(steps.min()?);
        Some(PowerCut { part: self.part.unwrap_or(cut.part), ..cut })
    }

    /// The faults, each with its job.
    pub fn faults(&self) -> &[(u64, Fault)] {
        &self.faults
    }

    /// All faults of both.
    pub fn and(mut self, other: FaultPlan) -> FaultPlan {
        self.faults.extend(other.faults);
        self.part = self.part.or(other.part);
        self
    }
}

impl FromStr for FaultPlan {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<FaultPlan, FaultError> {
        let known = || Fault::ALL.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(", ");
        let refused = || FaultError { text: text.to_owned(), known: known() };
        if let Some(seed) = text.strip_prefix("seed=") {
            return seed.parse().map(FaultPlan::from_seed).map_err(|_| refused());
        }
        if let Some(seed) = text.strip_prefix("update-seed=") {
            return seed.parse().map(FaultPlan::update_from_seed).map_err(|_| refused());
        }
        let (name, job) = text.split_once('@').unwrap_or((text, "0"));
        let fault = Fault::ALL.iter().find(|fault| fault.name() == name).ok_or_else(refused)?;
        let job = job.parse().map_err(|_| refused())?;
        Ok(FaultPlan { faults: vec![(job, *fault)], part: None })
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (job, fault)) in self.faults.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            write!(f, "{separator}{}@{job}", fault.name())?;
        }
        Ok(())
    }
}

/// What is wrong with a job from its start on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobFault {
    /// It never ends.
    pub(crate) hangs: bool,
    /// Its memory fails.
    pub(crate) memory_error: bool,
    /// It does not end before.
    pub(crate) not_before: Option<Instant>,
}

/// What a card suffers now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    plan: FaultPlan,
    /// Jobs started since power-up.
    jobs: u64,
    lost_interrupts: u32,
    corrupt_results: u32,
    next_job: JobFault,
    /// Host accesses that the dropped link still swallows.
    dropped: u32,
    removed: bool,
    pub(crate) crashed: bool,
    pub(crate) link_degraded: bool,
    pub(crate) memory_errors_corrected: u64,
    pub(crate) memory_errors_uncorrected: u64,
}

impl Condition {
    /// A sound card that will suffer this.
    pub(crate) fn planned(plan: FaultPlan) -> Condition {
        Condition { plan, ..Condition::default() }
    }

    /// Suffers a fault, now or with the next job.
    pub(crate) fn suffer(&mut self, fault: Fault) {
        match fault {
            Fault::LostInterrupt => self.lost_interrupts += 1,
            Fault::HungEngine => self.next_job.hangs = true,
            Fault::CorruptResult => self.corrupt_results += 1,
            Fault::EccSingle => self.memory_errors_corrected += 1,
            Fault::EccDouble => self.next_job.memory_error = true,
            Fault::LinkDrop => (self.dropped, self.link_degraded) = (DROPPED_ACCESSES, true),
            Fault::Removal => self.removed = true,
            Fault::Timeout => self.next_job.not_before = Some(Instant::now() + TIMEOUT),
            Fault::FirmwareCrash => self.crashed = true,
            // Not a condition of jobs: the flash keeps it.
            Fault::PowerLoss => {}
        }
    }

    /// A job starts: what is wrong with it?
    pub(crate) fn job_starts(&mut self) -> JobFault {
        let now: Vec<Fault> =
            self.plan.faults.iter().filter(|(job, _)| *job == self.jobs).map(|(_, fault)| *fault).collect();
        self.jobs += 1;
        now.into_iter().for_each(|fault| self.suffer(fault));
        let fault = std::mem::take(&mut self.next_job);
        self.memory_errors_uncorrected += u64::from(fault.memory_error);
        fault
    }

    /// Spoils data on its way to the host, if that is due.
    pub(crate) fn spoil(&mut self, data: &mut [u8]) {
        if self.corrupt_results > 0
            && let Some(byte) = data.first_mut()
        {
            self.corrupt_results -= 1;
            *byte ^= 0x10;
        }
    }

    /// Whether the next interrupt gets lost.
    pub(crate) fn loses_interrupt(&mut self) -> bool {
        let lost = self.lost_interrupts > 0;
        self.lost_interrupts -= u32::from(lost);
        lost
    }

    /// Whether an access by the host reaches the card.
    pub(crate) fn answers(&mut self) -> bool {
        if self.dropped > 0 {
            self.dropped -= 1;
            return false;
        }
        !self.removed
    }

    /// Whether the card reaches the host.
    pub(crate) fn is_connected(&self) -> bool {
        self.dropped == 0 && !self.removed
    }

    /// Function-level reset. A card that is not there does not notice.
    pub(crate) fn reset(&mut self) {
        if self.is_connected() {
            self.crashed = false;
            self.next_job = JobFault::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_as_they_are_written() {
        for fault in Fault::ALL {
            let text = format!("{}@7", fault.name());
            let plan: FaultPlan = text.parse().unwrap();
            assert_eq!(plan.faults(), [(7, *fault)]);
            assert_eq!(plan.to_string(), text);
        }
        for text in ["", "seed=", "seed=x", "hung-engine@", "hung-engine@x", "flood"] {
            assert!(text.parse::<FaultPlan>().unwrap_err().to_string().contains("hung-engine"), "{text}");
        }
    }

    #[test]
    fn seeds_repeat_and_reach_every_kind() {
        assert_eq!("update-seed=3".parse::<FaultPlan>().unwrap(), FaultPlan::update_from_seed(3));
        assert_eq!("seed=3".parse::<FaultPlan>().unwrap(), FaultPlan::from_seed(3));
        let plans: Vec<FaultPlan> = (0..200).map(FaultPlan::from_seed).collect();
        assert!(plans.iter().all(|plan| (1..=3).contains(&plan.faults().len())));
        for fault in Fault::ALL.iter().filter(|fault| fault.strikes_jobs()) {
            assert!(plans.iter().flat_map(FaultPlan::faults).any(|(_, kind)| kind == fault), "{fault:?}");
        }
    }

    #[test]
    fn planned_fault_meets_its_job_once() {
        let mut condition = Condition::planned("hung-engine@1".parse().unwrap());
        let hangs: Vec<bool> = (0..3).map(|_| condition.job_starts().hangs).collect();
        assert_eq!(hangs, [false, true, false]);
    }

    #[test]
    fn dropped_link_comes_back_and_a_removed_card_does_not() {
        let mut condition = Condition::default();
        condition.suffer(Fault::LinkDrop);
        assert!((0..DROPPED_ACCESSES).all(|_| !condition.answers() && condition.link_degraded));
        assert!(condition.answers() && condition.is_connected());
        condition.suffer(Fault::Removal);
        condition.reset();
        assert!((0..1000).all(|_| !condition.answers()));
    }
}
