//! What the devices did: calls, elements, time, cycles and bytes, per device and kernel.

use std::collections::BTreeMap;
use std::ops::Add;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::device::{DeviceInfo, TaskRecord};

/// Totals since the engine was made.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One entry per device, in the order in which they were given to the engine.
    pub devices: Vec<DeviceReport>,
}

/// Totals of one device.
#[derive(Clone, Debug)]
pub struct DeviceReport {
    /// Which device.
    pub info: DeviceInfo,
    /// Why it was quarantined, if it was.
    pub quarantined: Option<String>,
    /// Totals by kernel name. Loading bases is counted as `load_bases`.
    pub kernels: BTreeMap<&'static str, KernelReport>,
}

/// Totals of one kernel on one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelReport {
    /// Tasks finished.
    pub calls: u64,
    /// Elements worked on.
    pub elements: u64,
    /// Time that the device's worker spent submitting and waiting; with several tasks in flight the wait for one
    /// covers others too. \[ns\]
    pub wall_ns: u64,
    /// CPU time of the process while the worker submitted and waited, whichever thread took it. \[ns\]
    pub cpu_ns: u64,
    /// Cycles of the device's clock, if it counts them.
    pub cycles: Option<u64>,
    /// Of these, stalled, by cause.
    pub stall_cycles: BTreeMap<&'static str, u64>,
    /// Bytes sent to the device.
    pub bytes_to_device: u64,
    /// Bytes brought back.
    pub bytes_to_host: u64,
}

impl KernelReport {
    pub(crate) fn add(&mut self, elements: u64, spent: Spent, record: &TaskRecord) {
        self.calls += 1;
        self.elements += elements;
        self.wall_ns += nanoseconds(spent.wall);
        self.cpu_ns += nanoseconds(spent.cpu);
        if let Some(cycles) = record.cycles {
            *self.cycles.get_or_insert(0) += cycles;
        }
        for &(cause, cycles) in &record.stall_cycles {
            *self.stall_cycles.entry(cause).or_insert(0) += cycles;
        }
        self.bytes_to_device += record.bytes_to_device;
        self.bytes_to_host += record.bytes_to_host;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment, in wall time and in CPU time of the process.
#[derive(Clone, Copy)]
pub(crate) struct Started {
    wall: Instant,
    cpu: Duration,
}

/// Time between two moments.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl Started {
    /// This moment.
    pub(crate) fn now() -> Started {
        Started { wall: Instant::now(), cpu: cpu_time() }
    }

    /// Since that moment.
    pub(crate) fn spent(self) -> Spent {
        Spent { wall: self.wall.elapsed(), cpu: cpu_time().saturating_sub(self.cpu) }
    }
}

impl Add for Spent {
    type Output = Spent;
    fn add(self, other: Spent) -> Spent {
        Spent { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

fn cpu_time() -> Duration {
    ProcessTime::try_now().map(|time| time.as_duration()).unwrap_or_default()
}
