//! Simulated time: integer picoseconds, and clocks that count them in cycles.

/// A point in simulated time, or a span of it. \[ps\]
pub type Picoseconds = u64;

const PS_PER_SECOND: u128 = 1_000_000_000_000;

/// A clock domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    hertz: u64,
}

impl Clock {
    /// A clock of `mhz` megahertz; `mhz` is not zero.
    pub const fn from_mhz(mhz: u64) -> Clock {
        Clock { hertz: mhz * 1_000_000 }
    }

    /// The frequency. \[Hz\]
    pub const fn hertz(self) -> u64 {
        self.hertz
    }

    /// When `cycles` cycles have passed, rounded up to a picosecond.
    pub fn duration_of(self, cycles: u64) -> Picoseconds {
        (u128::from(cycles) * PS_PER_SECOND).div_ceil(u128::from(self.hertz)) as u64
    }

    /// Whole cycles until `span` has passed: what a component of this clock waits for an event of another.
    pub fn cycles_to_cover(self, span: Picoseconds) -> u64 {
        (u128::from(span) * u128::from(self.hertz)).div_ceil(PS_PER_SECOND) as u64
    }

    /// Cycles that have passed at `time`.
    pub fn cycle_at(self, time: Picoseconds) -> u64 {
        (u128::from(time) * u128::from(self.hertz) / PS_PER_SECOND) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_and_time_agree_in_clocks_without_a_whole_period() {
        let clock = Clock::from_mhz(450);
        assert_eq!(clock.duration_of(9), 20_000);
        assert_eq!(clock.duration_of(1), 2_223);
        assert_eq!(clock.cycles_to_cover(2_222), 1);
        assert_eq!(clock.cycles_to_cover(2_223), 2);
        assert_eq!(clock.cycle_at(2_222), 0);
        assert_eq!(clock.cycle_at(2_223), 1);
    }
}
