//! The thread in which the card runs. Register accesses reach it as messages, in the order in which the client sent them.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use kiln_abi::register::ALL_ONES;
use kiln_abi::{Activity, Endpoint, HostMemory, Interrupts};

use kiln_sim::{Card, Fault};

#[derive(Debug)]
enum Message {
    Read { bar: u8, offset: u64, answer: SyncSender<u32> },
    Write { bar: u8, offset: u64, value: u32 },
    Reset { done: SyncSender<()> },
    Suffer(Fault),
    Stop,
}

/// A way to make a card that runs suffer faults.
#[derive(Clone, Debug)]
pub struct Injector(Sender<Message>);

impl Injector {
    /// Lets the card suffer a fault, now or with its next job.
    pub fn suffer(&self, fault: Fault) {
        // A card that does not run has suffered enough.
        let _ = self.0.send(Message::Suffer(fault));
    }
}

/// A card that runs.
pub(crate) struct Runner {
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Runner {
    /// Connects the card and lets it run.
    pub(crate) fn start(
        mut card: Card,
        memory: Arc<dyn HostMemory>,
        interrupts: Arc<dyn Interrupts>,
    ) -> io::Result<Runner> {
        card.attach(memory, interrupts);
        let (messages, inbox) = channel();
        let thread = std::thread::Builder::new().name("card".into()).spawn(move || run(card, &inbox))?;
        Ok(Runner { messages, thread: Some(thread) })
    }

    /// A way to make the card suffer faults.
    pub(crate) fn injector(&self) -> Injector {
        Injector(self.messages.clone())
    }

    /// Reads a word of a BAR; all ones when the card does not run any more.
    pub(crate) fn read(&self, bar: u8, offset: u64) -> u32 {
        let (answer, value) = sync_channel(1);
        match self.messages.send(Message::Read { bar, offset, answer }) {
            Ok(()) => value.recv().unwrap_or(ALL_ONES),
            Err(_) => ALL_ONES,
        }
    }

    /// Writes a word of a BAR; returns before the card has seen it.
    pub(crate) fn write(&self, bar: u8, offset: u64, value: u32) {
        // To a card that does not run, a write is lost.
        let _ = self.messages.send(Message::Write { bar, offset, value });
    }

    /// Function-level reset; all DMA has stopped when it returns.
    pub(crate) fn reset(&self) {
        let (done, answer) = sync_channel(1);
        if self.messages.send(Message::Reset { done }).is_ok() {
            let _ = answer.recv();
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(mut card: Card, inbox: &Receiver<Message>) {
    let mut activity = Activity::Busy;
    loop {
        let message = match activity {
            Activity::Busy => inbox.try_recv().ok(),
            Activity::Idle => match inbox.recv() {
                Ok(message) => Some(message),
                Err(_) => return,
            },
        };
        match message {
            // Somebody who gave up waiting for the answer is no reason to stop.
            Some(Message::Read { bar, offset, answer }) => _ = answer.send(card.read32(bar, offset)),
            Some(Message::Write { bar, offset, value }) => {
                card.write32(bar, offset, value);
                activity = Activity::Busy;
            }
            Some(Message::Reset { done }) => {
                card.reset();
                activity = Activity::Busy;
                let _ = done.send(());
            }
            Some(Message::Suffer(fault)) => {
                card.suffer(fault);
                activity = Activity::Busy;
            }
            Some(Message::Stop) => return,
            None => activity = card.advance(),
        }
    }
}
