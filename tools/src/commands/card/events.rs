//! What a card tells by itself.

use std::fmt;
use std::time::{Duration, Instant};

use kiln_driver::{Card, Ready};
use serde::Serialize;

use super::Target;
use crate::backend;
use crate::error::Failure;
use crate::output::{self, Format, Report};

/// Longest wait that the card is asked for at once while events are followed.
const LISTENING: Duration = Duration::from_secs(60);

/// Arguments of `kiln card events`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Print every event, until interrupted or until --count or --timeout-s ends it
    #[arg(long)]
    follow: bool,
    /// With --follow: end after this many events
    #[arg(long, requires = "follow", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// With --follow: end after this time, in seconds; a failure where --count asked for more events than came
    #[arg(long, requires = "follow")]
    timeout_s: Option<u64>,
    /// Without --follow: longest wait for the event, in seconds
    #[arg(long, default_value_t = 60, conflicts_with = "follow")]
    wait_s: u64,
}

impl Args {
    /// How to print events.
    pub fn format(&self) -> Format {
        self.target.format
    }
}

/// An event that the card told.
#[derive(Debug, Serialize)]
pub struct Event {
    card: String,
    event: &'static str,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let card = backend::bring_up(&args.target.address)?;
    let (wanted, timeout_s) =
        if args.follow { (args.count, args.timeout_s) } else { (Some(1), Some(args.wait_s)) };
    let name = args.target.address.to_string();
    let told = follow(&card, wanted, timeout_s.map(Duration::from_secs), |event| {
        output::result(args.target.format, &Event { card: name.clone(), event });
    })?;
    match (wanted, timeout_s) {
        (Some(wanted), Some(waited)) if told < wanted => {
            let number = match told {
                0 => "no event".to_owned(),
                told => format!("{told} of {wanted} events"),
            };
            Err(Failure::Input(format!("{name} told {number} within {waited} s")))
        }
        _ => Ok(()),
    }
}

/// Tells `say` each event, until there were `count` or `timeout` has passed; returns how many there were.
fn follow(
    card: &Card<Ready>,
    count: Option<u64>,
    timeout: Option<Duration>,
    mut say: impl FnMut(&'static str),
) -> Result<u64, Failure> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut told = 0;
    while count.is_none_or(|count| told < count) {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let patience = left.map_or(LISTENING, |left| left.min(LISTENING));
        let event = card.next_event(patience).map_err(|e| Failure::device("wait for an event", e))?;
        if let Some(event) = event {
            say(event.name());
            told += 1;
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
    }
    Ok(told)
}

impl Report for Event {
    const SCHEMA: &'static str = "kiln.card.event/1";
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.card, self.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_abi::{HostBuffer, IoCommand};
    use kiln_driver::{CardError, Deadline};

    fn card() -> Card<Ready> {
        backend::bring_up(&"sim:u55c".parse().unwrap()).unwrap()
    }

    /// A copy from memory that the card may not reach, which it logs and tells.
    fn fail(card: &Card<Ready>) {
        let patience = || Deadline::after(Duration::from_secs(60));
        let queue = card.queue(0).unwrap();
        let nowhere = HostBuffer::Contiguous { address: 1 << 40 };
        let command = IoCommand::CopyToCard { destination: 0, bytes: 64, source: nowhere };
        let ticket = queue.submit_command(&command, Vec::new(), patience()).unwrap();
        let outcome = queue.wait(&ticket, patience());
        assert!(matches!(outcome, Err(CardError::Command { .. })), "{outcome:?}");
    }

    #[test]
    fn events_are_followed_until_there_were_enough() {
        let card = card();
        fail(&card);
        let mut heard = Vec::new();
        let told = follow(&card, Some(3), Some(Duration::from_secs(60)), |event| {
            heard.push(event);
            if heard.len() < 3 {
                fail(&card);
            }
        });
        assert_eq!(told.unwrap(), 3);
        assert_eq!(heard, ["ErrorLogged"; 3]);
    }

    #[test]
    fn following_ends_with_its_time_also_while_events_come() {
        let card = card();
        let told = follow(&card, None, Some(Duration::ZERO), |_| ());
        assert_eq!(told.unwrap(), 0);
        fail(&card);
        let told = follow(&card, None, Some(Duration::from_millis(30)), |_| fail(&card)).unwrap();
        assert!(told > 0);
    }

    #[test]
    fn event_prints_what_was_reviewed() {
        let event = Event { card: "sim:u55c".into(), event: "ErrorLogged" };
        assert_eq!(event.to_string(), "sim:u55c ErrorLogged");
        insta::assert_json_snapshot!("json_card_event", output::value(&event));
    }
}
