//! Choices of quantisation on the command line, the same for every command that quantises.

use kiln_circuits::{Calibration, QuantiseOptions};

/// Bits of activations, tables and shifts.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct QuantiseArgs {
    /// Bits of an activation, with its sign, 2 to 16
    #[arg(long, value_name = "BITS", default_value_t = 8)]
    activation_bits: u32,
    /// How far each tensor's integers reach: `min-max`, as far as any calibration record goes; `percentile:P`, as far as P percent of its
    /// magnitudes go, such as percentile:99.9; `mse`, where the mean squared error of rounding and clamping is least. What is
    /// beyond is clamped. One outlier makes min-max coarse for all the rest; the others cut it off
    #[arg(long, value_name = "HOW", default_value = "min-max", value_parser = parse_calibration)]
    calibrate: Calibration,
    /// Bits that requantisation drops; searched where this and the next are left out
    #[arg(long, value_name = "BITS")]
    shift: Option<u32>,
    /// Range of the tables in bits, up to 24
    #[arg(long, value_name = "BITS")]
    table_bits: Option<u32>,
    /// Count on sums of at most so many times what calibration saw, and refuse other records; without it, on the worst case
    #[arg(long, value_name = "TIMES")]
    margin: Option<f64>,
}

impl QuantiseArgs {
    /// The options that they say.
    pub fn options(&self) -> QuantiseOptions {
        QuantiseOptions {
            activation_bits: self.activation_bits,
            calibration: self.calibrate,
            shift: self.shift,
            q_bits: self.table_bits,
            q_bits_max: self.table_bits.unwrap_or(16),
            margin: self.margin,
            ..QuantiseOptions::default()
        }
    }
}

fn parse_calibration(text: &str) -> Result<Calibration, String> {
    match text.split_once(':') {
        None if text == "min-max" => return Ok(Calibration::MinMax),
        None if text == "mse" => return Ok(Calibration::Mse),
        Some(("percentile", percent)) => {
            if let Some(percent) = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent)) {
                return Ok(Calibration::Percentile(percent));
            }
        }
        _ => {}
    }
    Err("expected min-max, mse, or percentile: and a number from 0 to 100, such as percentile:99.9".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibrations_are_read_and_nothing_else() {
        assert_eq!(parse_calibration("min-max"), Ok(Calibration::MinMax));
        assert_eq!(parse_calibration("mse"), Ok(Calibration::Mse));
        assert_eq!(parse_calibration("percentile:99.9"), Ok(Calibration::Percentile(99.9)));
        for text in ["", "max", "percentile", "percentile:", "percentile:101", "percentile:NaN", "mse:1"] {
            assert!(parse_calibration(text).is_err(), "{text}");
        }
    }
}
