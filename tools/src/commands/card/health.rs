//! How a card is doing: sensors, counters, the error log, and a reset when it is not doing well.

use std::fmt;

use kiln_abi::Status;
use kiln_abi::feature::{FeatureBlock, FeatureKind};
use kiln_abi::page::Health;
use kiln_driver::{Card, Ready};
use serde::Serialize;

use crate::backend::{self, CardAddress};
use crate::error::Failure;
use crate::output::{self, Report};

/// Temperature and power.
#[derive(Debug, Serialize)]
pub struct Sensors {
    card: String,
    /// None where the card says that it has no such sensor.
    temperature_celsius: Option<f64>,
    throttle_celsius: Option<f64>,
    power_w: Option<f64>,
}

/// Reads the sensors.
pub fn sensors(address: &CardAddress) -> Result<Sensors, Failure> {
    let card = backend::bring_up(address)?;
    let health = card.health().map_err(|e| Failure::device("read the sensors", e))?;
    let (temperature_celsius, power_w) = readings(&card, &health);
    let throttle_celsius = match card.features().get(FeatureKind::Sensors) {
        Some(FeatureBlock::Sensors { throttle_milli_celsius, .. }) => {
            Some(f64::from(*throttle_milli_celsius) / 1e3)
        }
        _ => None,
    };
    Ok(Sensors { card: address.to_string(), temperature_celsius, throttle_celsius, power_w })
}

/// Temperature \[°C\] and power \[W\]; none where the card says that it has no such sensor.
pub(super) fn readings(card: &Card<Ready>, health: &Health) -> (Option<f64>, Option<f64>) {
    let (temperature, power) = match card.features().get(FeatureKind::Sensors) {
        Some(FeatureBlock::Sensors { temperature_sensors, power_sensors, .. }) => {
            (*temperature_sensors > 0, *power_sensors > 0)
        }
        _ => (false, false),
    };
    (
        temperature.then(|| f64::from(health.temperature_milli_celsius) / 1e3),
        power.then(|| f64::from(health.power_mw) / 1e3),
    )
}

impl Report for Sensors {
    const SCHEMA: &'static str = "kiln.card.sensors/1";
}

impl fmt::Display for Sensors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: Option<f64>, unit: &str| {
            value.map_or_else(|| "no sensor".to_owned(), |value| format!("{value:.1} {unit}"))
        };
        writeln!(f, "{}", self.card)?;
        writeln!(f, "  temperature     {}", value(self.temperature_celsius, "°C"))?;
        write!(f, "  power           {}", value(self.power_w, "W"))?;
        match self.throttle_celsius {
            Some(limit) => write!(f, "\n  slows down at   {limit:.1} °C"),
            None => Ok(()),
        }
    }
}

/// Counters.
#[derive(Debug, Serialize)]
pub struct Stats {
    card: String,
    uptime_cycles: u64,
    uptime_s: f64,
    commands_completed: u64,
    commands_failed: u64,
    memory_errors_corrected: u64,
    memory_errors_uncorrected: u64,
}

/// Reads the counters.
pub fn stats(address: &CardAddress) -> Result<Stats, Failure> {
    let card = backend::bring_up(address)?;
    let health = card.health().map_err(|e| Failure::device("read the counters", e))?;
    Ok(Stats {
        card: address.to_string(),
        uptime_cycles: health.uptime_cycles,
        uptime_s: health.uptime_cycles as f64 / card.identify().clock_hz.max(1) as f64,
        commands_completed: health.commands_completed,
        commands_failed: health.commands_failed,
        memory_errors_corrected: health.memory_errors_corrected,
        memory_errors_uncorrected: health.memory_errors_uncorrected,
    })
}

impl Report for Stats {
    const SCHEMA: &'static str = "kiln.card.stats/1";
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.card)?;
        writeln!(f, "  clock ran       {} since reset", output::seconds(self.uptime_s))?;
        writeln!(
            f,
            "  commands        {} completed, {} failed",
            self.commands_completed, self.commands_failed
        )?;
        let (corrected, lost) = (self.memory_errors_corrected, self.memory_errors_uncorrected);
        write!(f, "  memory errors   {corrected} corrected, {lost} not")
    }
}

/// The error log.
#[derive(Debug, Serialize)]
pub struct Errors {
    card: String,
    errors: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    sequence: u64,
    cycle: u64,
    queue: u16,
    command_id: u16,
    opcode: u8,
    status: u16,
    status_name: &'static str,
    detail: u64,
}

/// Reads the error log, newest first.
pub fn errors(address: &CardAddress) -> Result<Errors, Failure> {
    let card = backend::bring_up(address)?;
    Ok(Errors { card: address.to_string(), errors: log(&card)? })
}

fn log(card: &Card<Ready>) -> Result<Vec<Entry>, Failure> {
    let errors = card.errors().map_err(|e| Failure::device("read the error log", e))?;
    let entry = |error: kiln_abi::page::ErrorEntry| Entry {
        sequence: error.sequence,
        cycle: error.cycle,
        queue: error.submission_queue,
        command_id: error.command_id,
        opcode: error.opcode,
        status: error.status,
        status_name: Status::from_code(error.status).map_or("unknown", |status| status.name()),
        detail: error.detail,
    };
    Ok(errors.into_iter().map(entry).collect())
}

impl Report for Errors {
    const SCHEMA: &'static str = "kiln.card.errors/1";
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors.is_empty() {
            return write!(f, "{}: no errors since reset", self.card);
        }
        write!(
            f,
            "{:>6} {:>14} {:>5} {:>7} {:>6}  {:<20} DETAIL",
            "NUMBER", "CYCLE", "QUEUE", "COMMAND", "OPCODE", "STATUS"
        )?;
        for Entry { sequence, cycle, queue, command_id, opcode, status_name, detail, .. } in &self.errors {
            write!(
                f,
                "\n{sequence:>6} {cycle:>14} {queue:>5} {command_id:>7} {opcode:>#6x}  {status_name:<20} {detail:#x}"
            )?;
        }
        Ok(())
    }
}

/// A card after a reset.
#[derive(Debug, Serialize)]
pub struct Reset {
    card: String,
    model: String,
}

/// Function-level reset, then bring-up.
pub fn reset(address: &CardAddress) -> Result<Reset, Failure> {
    let failed = |e| Failure::device("reset the card", e);
    let card = Card::found(address.open()?).reset().map_err(failed)?;
    let card = card.bring_up(&kiln_driver::Settings::default()).map_err(failed)?;
    Ok(Reset { card: address.to_string(), model: card.identify().model.as_str().to_owned() })
}

impl Report for Reset {
    const SCHEMA: &'static str = "kiln.card.reset/1";
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) was reset and came up again", self.card, self.model)
    }
}
