//! What to do with a card that does not answer, in steps that grow: end the command, reset the engines, reset the
//! function, and, when that had to be done too often, leave the card alone.

use std::sync::Arc;
use std::time::Duration;

use kiln_abi::Status;
use kiln_abi::register::{ALL_ONES, Register};

use crate::card::{Card, Ready, Settings};
use crate::error::CardError;
use crate::queue::{Queue, Ticket};
use crate::transport::Transport;
use crate::wait::{Deadline, read};

/// Between two looks at a card that does not answer.
const ANSWER_PAUSE: Duration = Duration::from_millis(2);

/// How a command ended that had to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It had ended by itself in the meantime; its result is given up.
    ByItself,
    /// The card aborted it. Other commands were not disturbed.
    Aborted,
    /// The engines were reset: all commands that were fetched are aborted. Queues and card memory stay.
    EnginesReset,
}

/// A card, and the patience with it.
#[derive(Debug)]
pub struct Keeper {
    transport: Arc<dyn Transport>,
    settings: Settings,
    card: Option<Card<Ready>>,
    resets: u32,
    resets_max: u32,
}

impl Card<Ready> {
    /// Ends a command whose deadline has passed, at the least cost that works. Each step may take `patience`.
    ///
    /// # Errors
    /// [`CardError::NotYet`] when not even an engine reset ended it: only a function-level reset is left.
    /// [`CardError::Never`] and [`CardError::Gone`] when the card is lost.
    pub fn end(&self, queue: &Queue, ticket: &Ticket, patience: Duration) -> Result<Ending, CardError> {
        match self.abort_within(ticket, patience) {
            Ok(true) => return ended(queue, ticket, patience, Ending::Aborted),
            // Not fetched yet, or ended: a queue goes on by itself unless what is before it hangs.
            Ok(false) => match ended(queue, ticket, patience, Ending::ByItself) {
                Err(CardError::NotYet { .. }) => {}
                other => return other,
            },
            Err(CardError::NotYet { .. }) => {}
            Err(other) => return Err(other),
        }
        self.reset_engines();
        ended(queue, ticket, patience, Ending::EnginesReset)
    }
}

fn ended(queue: &Queue, ticket: &Ticket, patience: Duration, how: Ending) -> Result<Ending, CardError> {
    match queue.wait(ticket, Deadline::after(patience)) {
        Err(CardError::Command { status: Status::Aborted, .. }) => Ok(how),
        // Also one that failed for a reason of its own has ended.
        Ok(_) | Err(CardError::Command { .. }) => Ok(Ending::ByItself),
        Err(other) => Err(other),
    }
}

pub(crate) fn wait_until_it_answers(transport: &dyn Transport, deadline: Deadline) -> Result<(), CardError> {
    while read(transport, Register::Magic) == ALL_ONES {
        if deadline.passed() {
            return Err(CardError::Gone);
        }
        std::thread::sleep(ANSWER_PAUSE);
    }
    Ok(())
}

impl Keeper {
    /// Brings a card up. It may be reset `resets_max` times before it is left alone.
    pub fn start(
        transport: Arc<dyn Transport>,
        settings: Settings,
        resets_max: u32,
    ) -> Result<Keeper, CardError> {
        let card = Card::found(transport.clone()).bring_up(&settings)?;
        Ok(Keeper { transport, settings, card: Some(card), resets: 0, resets_max })
    }

    /// The card, while it is in service.
    ///
    /// # Errors
    /// [`CardError::Quarantined`] after too many resets, [`CardError::Gone`] when the last reset did not help.
    pub fn card(&self) -> Result<&Card<Ready>, CardError> {
        match &self.card {
            Some(card) => Ok(card),
            None if self.resets >= self.resets_max => Err(CardError::Quarantined { resets: self.resets }),
            None => Err(CardError::Gone),
        }
    }

    /// Gives the card up, resets it, waits until it answers, and brings it up again. All its queues, tickets and regions are void.
    ///
    /// # Errors
    /// [`CardError::Quarantined`] when it was reset too often already; otherwise as bring-up.
    pub fn revive(&mut self) -> Result<&Card<Ready>, CardError> {
        let lost = self.card.take().map(Card::lose);
        if self.resets >= self.resets_max {
            tracing::error!(card = %self.transport.name(), resets = self.resets, "card quarantined");
            return Err(CardError::Quarantined { resets: self.resets });
        }
        self.resets += 1;
        let found = match lost {
            Some(lost) => lost.reset()?,
            None => Card::found(self.transport.clone()).reset()?,
        };
        // A link may need a while to come up again, in which the card reads all ones.
        wait_until_it_answers(&*self.transport, Deadline::after(self.settings.timeout))?;
        Ok(self.card.insert(found.bring_up(&self.settings)?))
    }
}
