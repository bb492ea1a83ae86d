//! What this process has used so far: CPU time and peak memory, as the kernel counts them.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::output::{bytes, seconds};

/// Clock ticks of `/proc/self/stat` \[1/s\]. Linux fixes the unit that user space sees (USER_HZ) at 100.
const USER_HZ: u64 = 100;

/// Counters at one moment.
pub struct Snapshot {
    at: Instant,
    cpu: Option<Duration>,
}

/// What was used between two moments.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Used {
    /// Wall time \[s\].
    pub wall_s: f64,
    /// CPU time of all threads, user and system \[s\], in steps of 10 ms; none where the system does not say.
    pub cpu_s: Option<f64>,
    /// The most memory that the process has held so far, since it started \[bytes\].
    pub peak_rss_bytes: Option<u64>,
}

impl Snapshot {
    /// Now.
    pub fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_time() }
    }

    /// From then to now.
    pub fn used(&self) -> Used {
        let cpu = cpu_time().zip(self.cpu).map(|(now, then)| now.saturating_sub(then));
        Used {
            wall_s: self.at.elapsed().as_secs_f64(),
            cpu_s: cpu.map(|time| time.as_secs_f64()),
            peak_rss_bytes: peak_rss_bytes(),
        }
    }
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wall time", seconds(self.wall_s))?;
        if let Some(cpu_s) = self.cpu_s {
            write!(f, ", {cpu_s:.2} s CPU time")?;
        }
        if let Some(peak) = self.peak_rss_bytes {
            write!(f, ", {} peak memory", bytes(peak))?;
        }
        f.write_str(", measured")
    }
}

fn cpu_time() -> Option<Duration> {
    parse_cpu_time(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn peak_rss_bytes() -> Option<u64> {
    parse_status(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// What this process holds in memory now \[bytes\]; none where the system does not say.
pub fn rss_bytes() -> Option<u64> {
    parse_status(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// proc(5): utime and stime are fields 14 and 15; field 2, the command, is in parentheses and may hold spaces.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    let (_, after_command) = stat.rsplit_once(')')?;
    let mut fields = after_command.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / USER_HZ))
}

fn parse_status(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_millis(1750)));
    }

    #[test]
    fn peak_memory_is_in_bytes() {
        assert_eq!(parse_status("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n", "VmHWM:"), Some(2 << 20));
        assert_eq!(parse_status("VmPeak:\t 9 kB\n", "VmHWM:"), None);
    }
}
