//! Where the devices are made: the one place that knows every backend by name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use kiln_driver::{Card, InProcess, Ready, Settings};
use kiln_kernels::{Engine, card, cpu};
use kiln_sim::profile::Profile;

use crate::error::Failure;

/// Which device does the heavy work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// This machine's processor.
    Cpu,
    /// A simulated card of this profile, behind the card's driver. Work that the card cannot do goes to the processor.
    Card(String),
}

/// The flag that chooses a backend.
#[derive(Clone, Debug, clap::Args)]
pub struct BackendArgs {
    /// Where the heavy work is done: `cpu`, or `card:PROFILE` (see `kiln card list`)
    #[arg(long, value_name = "cpu|card:PROFILE", default_value = "cpu")]
    pub backend: Backend,
}

/// How long one command of a card may take. A simulated card runs as fast as this machine simulates it.
const PATIENCE: Duration = Duration::from_secs(600);

/// An engine over the chosen device. Behind a card stands the processor: it runs what the card cannot, and what is left
/// when the card fails.
pub fn engine(backend: &Backend) -> Result<Engine, Failure> {
    let failed = |e| Failure::device("start the device", e);
    match backend {
        Backend::Cpu => Engine::new(vec![cpu::device()]),
        Backend::Card(profile) => {
            let device = card::device(simulated_card(profile)?, PATIENCE).map_err(failed)?;
            Engine::with_standby(vec![device], vec![cpu::device()])
        }
    }
    .map_err(failed)
}

/// A simulated card of a profile, brought up by the driver as any card is.
pub fn simulated_card(profile: &str) -> Result<Card<Ready>, Failure> {
    let model = Profile::load(profile).map_err(|e| Failure::refused("simulate a card", e))?;
    let failed = |e| Failure::device("bring up the card", e);
    let transport =
        InProcess::new(&format!("sim:{profile}"), Box::new(kiln_sim::Card::new(model))).map_err(failed)?;
    Card::found(Arc::new(transport)).bring_up(&Settings::default()).map_err(failed)
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            Some(("card", profile)) if !profile.is_empty() => Ok(Self::Card(profile.to_owned())),
            _ => Err("expected `cpu` or `card:PROFILE`; `kiln card list` names the profiles".into()),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Card(profile) => write!(f, "card:{profile}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["cpu", "card:u55c"] {
            assert_eq!(text.parse::<Backend>().unwrap().to_string(), text);
        }
        for text in ["", "cpu:", "cpu:2", "card", "card:", "gpu", "CPU"] {
            assert!(text.parse::<Backend>().is_err(), "{text}");
        }
    }
}
