//! What a card says of itself.

use std::fmt;

use kiln_abi::feature::{FeatureBlock, FeatureKind};
use serde::Serialize;
use serde_json::{Value, json};

use crate::backend::{self, CardAddress};
use crate::error::Failure;
use crate::output::{self, Report};

/// What a card says of itself.
#[derive(Debug, Serialize)]
pub struct Info {
    name: String,
    model: String,
    simulated: bool,
    /// What carries it, in the driver's words.
    transport: &'static str,
    serial: String,
    firmware: String,
    firmware_version: String,
    interface_version: u32,
    clock_hz: u64,
    memory_bytes: u64,
    /// None where the card says that it has no such sensor.
    temperature_celsius: Option<f64>,
    power_w: Option<f64>,
    commands_completed: u64,
    commands_failed: u64,
    features: serde_json::Map<String, Value>,
}

/// Brings the card up and asks it.
pub fn run(address: &CardAddress) -> Result<Info, Failure> {
    let card = backend::bring_up(address)?;
    let health = card.health().map_err(|e| Failure::device("ask the card for its health", e))?;
    let identify = card.identify();
    let (temperature, power) = match card.features().get(FeatureKind::Sensors) {
        Some(FeatureBlock::Sensors { temperature_sensors, power_sensors, .. }) => {
            (*temperature_sensors, *power_sensors)
        }
        _ => (0, 0),
    };
    Ok(Info {
        name: address.to_string(),
        model: identify.model.as_str().to_owned(),
        simulated: address.is_simulated(),
        transport: card.transport_kind(),
        serial: format!("{:016x}", identify.serial),
        firmware: identify.firmware.as_str().to_owned(),
        firmware_version: format!(
            "{}.{}",
            identify.firmware_version >> 16,
            identify.firmware_version & 0xffff
        ),
        interface_version: identify.interface_version,
        clock_hz: identify.clock_hz,
        memory_bytes: identify.memory_bytes,
        temperature_celsius: (temperature > 0).then(|| f64::from(health.temperature_milli_celsius) / 1000.0),
        power_w: (power > 0).then(|| f64::from(health.power_mw) / 1000.0),
        commands_completed: health.commands_completed,
        commands_failed: health.commands_failed,
        features: card.features().blocks.iter().map(feature).collect(),
    })
}

/// A block of the card's feature chain, by name.
fn feature(block: &FeatureBlock) -> (String, Value) {
    let (name, value) = match *block {
        FeatureBlock::FirmwareId { version, revision } => {
            ("firmware", json!({ "version": version, "revision": format!("{revision:08x}") }))
        }
        FeatureBlock::EngineMsm { adders, window_bits, adder_latency, log_length_max } => (
            "msm",
            json!({ "adders": adders, "window_bits": window_bits, "adder_latency_cycles": adder_latency,
                    "log_length_max": log_length_max }),
        ),
        FeatureBlock::EngineNtt { butterflies, butterfly_latency, log_n_max } => (
            "ntt",
            json!({ "butterflies": butterflies, "butterfly_latency_cycles": butterfly_latency,
                    "log_n_max": log_n_max }),
        ),
        FeatureBlock::EngineVector {
            lanes,
            multiplier_latency,
            registers,
            instructions_max,
            constants_max,
            inputs_max,
            outputs_max,
        } => (
            "vector",
            json!({ "lanes": lanes, "multiplier_latency_cycles": multiplier_latency, "registers": registers,
                    "instructions_max": instructions_max, "constants_max": constants_max,
                    "inputs_max": inputs_max, "outputs_max": outputs_max }),
        ),
        FeatureBlock::Memory { bytes, channels, bandwidth_mb_per_s } => (
            "memory",
            json!({ "bytes": bytes, "channels": channels, "bandwidth_mb_per_s": bandwidth_mb_per_s }),
        ),
        FeatureBlock::Counters { clock_hz } => ("counters", json!({ "clock_hz": clock_hz })),
        FeatureBlock::Sensors { temperature_sensors, power_sensors, throttle_milli_celsius } => (
            "sensors",
            json!({ "temperature": temperature_sensors, "power": power_sensors,
                    "throttle_celsius": f64::from(throttle_milli_celsius) / 1000.0 }),
        ),
        FeatureBlock::FirmwareSlots { slots, active } => {
            ("firmware_slots", json!({ "slots": slots, "active": active }))
        }
        FeatureBlock::ErrorLog { entries } => ("error_log", json!({ "entries": entries })),
        FeatureBlock::Watchdog { limit_max } => ("watchdog", json!({ "limit_cycles_max": limit_max })),
        FeatureBlock::Security { signed_firmware, attestation } => {
            ("security", json!({ "signed_firmware": signed_firmware != 0, "attestation": attestation != 0 }))
        }
    };
    (name.to_owned(), value)
}

impl Report for Info {
    const SCHEMA: &'static str = "kiln.card.info/1";
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.simulated { ", simulated" } else { "" };
        writeln!(f, "{} ({}{kind})", self.name, self.model)?;
        writeln!(f, "  transport       {}", self.transport)?;
        writeln!(f, "  serial          {}", self.serial)?;
        writeln!(
            f,
            "  firmware        {} {}, interface {:#x}",
            self.firmware, self.firmware_version, self.interface_version
        )?;
        writeln!(f, "  clock           {} MHz", self.clock_hz / 1_000_000)?;
        writeln!(f, "  memory          {}", output::bytes(self.memory_bytes))?;
        if let Some(temperature) = self.temperature_celsius {
            writeln!(f, "  temperature     {temperature:.1} °C")?;
        }
        if let Some(power) = self.power_w {
            writeln!(f, "  power           {power:.1} W")?;
        }
        write!(
            f,
            "  commands        {} completed, {} failed",
            self.commands_completed, self.commands_failed
        )?;
        for (name, values) in &self.features {
            write!(f, "\n  {name:<16}")?;
            let mut separator = "";
            for (key, value) in values.as_object().into_iter().flatten() {
                write!(f, "{separator}{} {value}", key.replace('_', " "))?;
                separator = ", ";
            }
        }
        Ok(())
    }
}
