//! Cards at a glance, again and again.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use kiln_driver::{Card, Ready};
use serde::Serialize;

use super::health::readings;
use crate::backend::{self, CardAddress};
use crate::error::Failure;
use crate::output::{self, Format, Report};

/// Moves a terminal's cursor to its first line and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What the cards do now.
#[derive(Debug, Serialize)]
pub struct Top {
    cards: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    card: String,
    model: String,
    /// `ready`, or why the card does not answer.
    state: String,
    temperature_celsius: Option<f64>,
    power_w: Option<f64>,
    commands_completed: u64,
    commands_failed: u64,
    /// Since the view before; none in the first.
    commands_per_s: Option<f64>,
    memory_errors_corrected: u64,
    memory_errors_uncorrected: u64,
}

struct Watched {
    address: CardAddress,
    card: Card<Ready>,
    before: Option<(Instant, u64)>,
}

/// Brings the cards up and shows them every `interval`, `views` times or until interrupted.
pub fn run(
    addresses: &[CardAddress],
    interval: Duration,
    views: Option<u64>,
    format: Format,
) -> Result<(), Failure> {
    let mut watched = Vec::with_capacity(addresses.len());
    for address in addresses {
        watched.push(Watched { address: address.clone(), card: backend::bring_up(address)?, before: None });
    }
    let whole_screen = !format.json && std::io::stdout().is_terminal();
    let mut view = 0;
    loop {
        let top = Top { cards: watched.iter_mut().map(Watched::look).collect() };
        if whole_screen {
            let _ = write!(std::io::stdout(), "{CLEAR}");
        }
        output::result(format, &top);
        view += 1;
        if views.is_some_and(|views| view >= views) {
            return Ok(());
        }
        std::thread::sleep(interval);
    }
}

impl Watched {
    fn look(&mut self) -> Row {
        let (card, model) = (self.address.to_string(), self.card.identify().model.as_str().to_owned());
        let (now, health) = (Instant::now(), self.card.health());
        let (state, health) = match health {
            Ok(health) => ("ready".to_owned(), health),
            // A card that is gone stays in the list: that is what an operator looks for.
            Err(error) => (error.to_string(), kiln_abi::page::Health::default()),
        };
        let (temperature_celsius, power_w) = readings(&self.card, &health);
        let completed = health.commands_completed;
        let commands_per_s = self.before.map(|(then, before)| {
            completed.saturating_sub(before) as f64 / now.duration_since(then).as_secs_f64().max(1e-9)
        });
        self.before = Some((now, completed));
        Row {
            card,
            model,
            state,
            temperature_celsius,
            power_w,
            commands_completed: completed,
            commands_failed: health.commands_failed,
            commands_per_s,
            memory_errors_corrected: health.memory_errors_corrected,
            memory_errors_uncorrected: health.memory_errors_uncorrected,
        }
    }
}

impl Report for Top {
    const SCHEMA: &'static str = "kiln.card.top/1";
}

impl fmt::Display for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<28} {:<22} {:>7} {:>7} {:>10} {:>8} {:>10} {:>11}  STATE",
            "CARD", "MODEL", "°C", "W", "COMMANDS", "FAILED", "PER SECOND", "ECC 1 / 2"
        )?;
        for row in &self.cards {
            let one =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
            let ecc = format!("{} / {}", row.memory_errors_corrected, row.memory_errors_uncorrected);
            write!(
                f,
                "\n{:<28} {:<22} {:>7} {:>7} {:>10} {:>8} {:>10} {ecc:>11}  {}",
                row.card,
                row.model,
                one(row.temperature_celsius),
                one(row.power_w),
                row.commands_completed,
                row.commands_failed,
                one(row.commands_per_s),
                row.state
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_has_a_row_and_rates_begin_with_the_second_view() {
        let address: CardAddress = "sim:u55c".parse().unwrap();
        let card = backend::bring_up(&address).unwrap();
        let mut watched = Watched { address, card, before: None };
        let first = watched.look();
        assert_eq!((first.state.as_str(), first.commands_per_s), ("ready", None));
        watched.card.keep_alive().unwrap();
        let second = watched.look();
        assert!(second.commands_completed > first.commands_completed);
        assert!(second.commands_per_s.is_some_and(|rate| rate > 0.0));
        let text = Top { cards: vec![first, second] }.to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
