//! Choices of quantisation on the command line, the same for every command that quantises.

use kiln_circuits::QuantiseOptions;

/// Bits of activations, tables and shifts.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct QuantiseArgs {
    /// Bits of an activation, with its sign, 2 to 16
    #[arg(long, value_name = "BITS", default_value_t = 8)]
    activation_bits: u32,
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
            shift: self.shift,
            q_bits: self.table_bits,
            q_bits_max: self.table_bits.unwrap_or(16),
            margin: self.margin,
            ..QuantiseOptions::default()
        }
    }
}
