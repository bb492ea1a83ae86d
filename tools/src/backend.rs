//! Where the devices are made: the one place that knows every backend by name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use kiln_driver::{Address, Card, InProcess, Ready, Settings, Transport};
use kiln_kernels::{Engine, card, cpu};
use kiln_sim::profile::Profile;

use crate::error::Failure;

/// Which device does the heavy work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// This machine's processor.
    Cpu,
    /// A card behind its driver. Work that the card cannot do goes to the processor.
    Card(CardAddress),
}

/// Where a card is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardAddress {
    /// Simulated in this process, after this profile.
    Simulated(String),
    /// Behind a transport of the driver.
    Device(Address),
}

/// How the addresses of cards begin that are simulated in this process.
const SIMULATED: &str = "sim:";

/// The flag that chooses a backend.
#[derive(Clone, Debug, clap::Args)]
pub struct BackendArgs {
    /// Where the heavy work is done: `cpu`, or `card:ADDRESS`, such as card:sim:u55c (see `kiln card list`)
    #[arg(long, value_name = "cpu|card:ADDRESS", default_value = "cpu")]
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
        Backend::Card(address) => {
            let device = card::device(bring_up(address)?, PATIENCE).map_err(failed)?;
            Engine::with_standby(vec![device], vec![cpu::device()])
        }
    }
    .map_err(failed)
}

/// A card, brought up.
pub fn bring_up(address: &CardAddress) -> Result<Card<Ready>, Failure> {
    let card = Card::found(address.open()?);
    card.bring_up(&Settings::default()).map_err(|e| Failure::device("bring up the card", e))
}

impl CardAddress {
    /// Opens the way to the card.
    pub fn open(&self) -> Result<Arc<dyn Transport>, Failure> {
        match self {
            Self::Simulated(profile) => {
                let model = Profile::load(profile).map_err(|e| Failure::refused("simulate a card", e))?;
                let endpoint = Box::new(kiln_sim::Card::new(model));
                let transport = InProcess::new(&self.to_string(), endpoint)
                    .map_err(|e| Failure::device("simulate a card", e))?;
                Ok(Arc::new(transport))
            }
            Self::Device(address) => address.open().map_err(|e| Failure::device("open the card", e)),
        }
    }

    /// Whether this process simulates the card.
    pub fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }
}

impl FromStr for CardAddress {
    type Err = String;

    /// `sim:PROFILE`, an address of the driver, or, for short, the name of a profile.
    fn from_str(text: &str) -> Result<Self, String> {
        let profile = text.strip_prefix(SIMULATED).or((!text.contains(':')).then_some(text));
        match profile {
            Some("") => Err("a profile is missing; `kiln card list` names the profiles".into()),
            Some(profile) => Ok(Self::Simulated(profile.to_owned())),
            None => match text.parse() {
                Ok(address) => Ok(Self::Device(address)),
                Err(error) => Err(format!("{error}, or sim:PROFILE")),
            },
        }
    }
}

impl fmt::Display for CardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulated(profile) => write!(f, "{SIMULATED}{profile}"),
            Self::Device(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            Some(("card", address)) => address.parse().map(Self::Card),
            _ => Err("expected `cpu` or `card:ADDRESS`; `kiln card list` names the cards".into()),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Card(address) => write!(f, "card:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for text in ["cpu", "card:sim:u55c", "card:vfio:0000:41:00.0", "card:vfio-user:/run/card.sock"] {
            assert_eq!(text.parse::<Backend>().unwrap().to_string(), text);
        }
        assert_eq!("card:u55c".parse::<Backend>().unwrap().to_string(), "card:sim:u55c");
        for text in ["", "cpu:", "cpu:2", "card", "card:", "card:sim:", "card:vfio:1", "gpu", "CPU"] {
            assert!(text.parse::<Backend>().is_err(), "{text}");
        }
    }
}
