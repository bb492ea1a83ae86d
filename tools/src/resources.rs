//! What this process has used so far: CPU time and peak memory, as the kernel counts them.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use kiln_kernels::return_freed_memory;
use serde::Serialize;

use crate::output::{bytes, seconds};

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
    /// CPU time of all threads, user and system \[s\]; none where the system does not say.
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

/// Forgets the peak so far, so that the next one counts from now. Where the system cannot, the peak stays that since the
/// process started.
pub fn reset_peak_rss() {
    // proc(5), clear_refs: 5 resets VmHWM.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Memory that the process holds, once what it has freed is given back \[bytes\]; 0 where the system does not say.
pub fn memory_in_use() -> u64 {
    return_freed_memory();
    rss_bytes().unwrap_or(0)
}

/// Memory that the process holds now \[bytes\].
pub fn rss_bytes() -> Option<u64> {
    parse_status(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

fn cpu_time() -> Option<Duration> {
    ProcessTime::try_now().ok().map(|time| time.as_duration())
}

fn peak_rss_bytes() -> Option<u64> {
    parse_status(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

fn parse_status(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_passes_while_the_process_works() {
        let start = Snapshot::now();
        let work = |until: f64| while start.used().cpu_s.is_some_and(|cpu_s| cpu_s < until) {};
        work(0.001);
        let used = start.used().cpu_s;
        assert!(used.is_none_or(|cpu_s| (0.001..60.0).contains(&cpu_s)), "{used:?}");
    }

    #[test]
    fn peak_memory_is_in_bytes() {
        assert_eq!(parse_status("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n", "VmHWM:"), Some(2 << 20));
        assert_eq!(parse_status("VmPeak:\t 9 kB\n", "VmHWM:"), None);
    }
}
