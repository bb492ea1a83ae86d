//! What the devices did for a command, as people and machines read it.

use std::fmt;

use kiln_kernels::Report;
use serde::Serialize;

use crate::output::{bytes, count, seconds};

/// One device's work.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceUsage {
    /// Its name.
    pub device: String,
    /// Its kind of backend.
    pub kind: String,
    /// The clock of its cycles \[Hz\]; none for a device that counts none.
    pub clock_hz: Option<u64>,
    /// Why its work was taken away from it, if it was.
    pub quarantined: Option<String>,
    /// Its work by kernel.
    pub kernels: Vec<KernelUsage>,
}

/// One kernel's work on one device.
#[derive(Clone, Debug, Serialize)]
pub struct KernelUsage {
    /// Which kernel.
    pub kernel: String,
    /// How often it ran.
    pub calls: u64,
    /// On how many elements in all.
    pub elements: u64,
    /// How long this machine spent on it, simulating included \[s\].
    pub wall_s: f64,
    /// CPU time of this machine meanwhile, all threads together \[s\].
    pub cpu_s: f64,
    /// Cycles of the device's clock.
    pub cycles: Option<u64>,
    /// Cycles divided by the clock \[s\].
    pub simulated_s: Option<f64>,
    /// Host to device \[bytes\].
    pub bytes_to_device: u64,
    /// Device to host \[bytes\].
    pub bytes_to_host: u64,
}

/// Turns an engine's totals into rows; devices that did nothing are left out.
pub fn usage(report: &Report) -> Vec<DeviceUsage> {
    report
        .devices
        .iter()
        .filter(|device| !device.kernels.is_empty() || device.quarantined.is_some())
        .map(|device| DeviceUsage {
            device: device.info.name.clone(),
            kind: device.info.kind.to_owned(),
            clock_hz: device.info.clock_hz,
            quarantined: device.quarantined.clone(),
            kernels: device
                .kernels
                .iter()
                .map(|(kernel, totals)| KernelUsage {
                    kernel: (*kernel).to_owned(),
                    calls: totals.calls,
                    elements: totals.elements,
                    wall_s: totals.wall_ns as f64 * 1e-9,
                    cpu_s: totals.cpu_ns as f64 * 1e-9,
                    cycles: totals.cycles,
                    simulated_s: totals
                        .cycles
                        .zip(device.info.clock_hz)
                        .map(|(cycles, clock_hz)| cycles as f64 / clock_hz as f64),
                    bytes_to_device: totals.bytes_to_device,
                    bytes_to_host: totals.bytes_to_host,
                })
                .collect(),
        })
        .collect()
}

impl DeviceUsage {
    /// Sum over the kernels; none if the device counts no cycles.
    pub fn cycles(&self) -> Option<u64> {
        self.kernels.iter().map(|kernel| kernel.cycles).sum()
    }
}

impl fmt::Display for DeviceUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work of {}", self.device)?;
        if let Some(clock_hz) = self.clock_hz {
            write!(f, " at {:.0} MHz", clock_hz as f64 * 1e-6)?;
        }
        writeln!(f)?;
        if let Some(reason) = &self.quarantined {
            writeln!(f, "  QUARANTINED: {reason}; its work was done elsewhere")?;
        }
        if self.cycles().is_some() { self.simulated(f) } else { self.measured(f) }
    }
}

impl DeviceUsage {
    fn simulated(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, ["kernel", "calls", "elements", "sim. cycles", "sim. time", "to card", "from card"])?;
        let (mut cycles, mut time_s, mut down, mut up) = (0, 0.0, 0, 0);
        for kernel in &self.kernels {
            cycles += kernel.cycles.unwrap_or(0);
            time_s += kernel.simulated_s.unwrap_or(0.0);
            down += kernel.bytes_to_device;
            up += kernel.bytes_to_host;
            row(
                f,
                [
                    &kernel.kernel,
                    &count(kernel.calls),
                    &count(kernel.elements),
                    &kernel.cycles.map(count).unwrap_or_default(),
                    &kernel.simulated_s.map(seconds).unwrap_or_default(),
                    &bytes(kernel.bytes_to_device),
                    &bytes(kernel.bytes_to_host),
                ],
            )?;
        }
        row(f, ["total", "", "", &count(cycles), &seconds(time_s), &bytes(down), &bytes(up)])
    }

    fn measured(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, ["kernel", "calls", "elements", "measured", "", "", ""])?;
        for kernel in &self.kernels {
            let (calls, elements) = (count(kernel.calls), count(kernel.elements));
            row(f, [&kernel.kernel, &calls, &elements, &seconds(kernel.wall_s), "", "", ""])?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, cells: [&str; 7]) -> fmt::Result {
    let [kernel, calls, elements, cycles, time, down, up] = cells;
    let line = format!("  {kernel:<18}{calls:>7}{elements:>12}{cycles:>14}{time:>11}{down:>12}{up:>12}");
    writeln!(f, "{}", line.trim_end())
}
