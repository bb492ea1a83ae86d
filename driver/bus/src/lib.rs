//! The thread in which a PCIe endpoint runs, and the messages by which it is reached.
//!
//! Register accesses travel as messages in one queue, as they do on a bus: writes are posted, a read waits for its answer
//! behind all earlier writes, and a read without an answer gives all ones.
#![forbid(unsafe_code)]

use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use kiln_abi::register::ALL_ONES;
use kiln_abi::{Activity, Endpoint};

enum Message<E> {
    Read { bar: u8, offset: u64, answer: SyncSender<u32> },
    Write { bar: u8, offset: u64, value: u32 },
    Reset { done: SyncSender<()> },
    Do(Box<dyn FnOnce(&mut E) + Send>),
    Stop,
}

/// An endpoint that runs. Ends with this.
pub struct Runner<E> {
    messages: Sender<Message<E>>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

/// A way to an endpoint that runs, for something that no register can say.
pub struct Injector<E>(Sender<Message<E>>);

impl<E> Clone for Injector<E> {
    fn clone(&self) -> Self {
        Injector(self.0.clone())
    }
}

impl<E> Injector<E> {
    /// Lets `action` work on the endpoint, between two messages. Nothing happens when the endpoint does not run any more.
    pub fn inject(&self, action: impl FnOnce(&mut E) + Send + 'static) {
        let _ = self.0.send(Message::Do(Box::new(action)));
    }
}

impl<E: Send + 'static> Runner<E> {
    /// Attaches an endpoint to memory and interrupts, and lets it run in a thread of this name. A read or a reset waits
    /// for `patience` at most; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start<M: 'static, I: 'static>(
        name: &str,
        mut endpoint: E,
        memory: M,
        interrupts: I,
        patience: Duration,
    ) -> io::Result<Runner<E>>
    where
        E: Endpoint<M, I>,
    {
        endpoint.attach(memory, interrupts);
        let (messages, inbox) = channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || run::<E, M, I>(endpoint, &inbox))?;
        Ok(Runner { messages, thread: Some(thread), patience })
    }
}

impl<E> Runner<E> {
    /// Another patience.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Reads an aligned word of a BAR; all ones when no answer comes.
    pub fn read(&self, bar: u8, offset: u64) -> u32 {
        let (answer, value) = sync_channel(1);
        match self.messages.send(Message::Read { bar, offset, answer }) {
            Ok(()) => value.recv_timeout(self.patience).unwrap_or(ALL_ONES),
            Err(_) => ALL_ONES,
        }
    }

    /// Writes an aligned word of a BAR; returns before the endpoint has seen it.
    pub fn write(&self, bar: u8, offset: u64, value: u32) {
        // To an endpoint that does not run, a write is lost, as on a bus.
        let _ = self.messages.send(Message::Write { bar, offset, value });
    }

    /// Function-level reset; all DMA has stopped when it returns true. False when no answer comes.
    pub fn reset(&self) -> bool {
        let (done, answer) = sync_channel(1);
        self.messages.send(Message::Reset { done }).is_ok() && answer.recv_timeout(self.patience).is_ok()
    }

    /// A way to do to the endpoint what no register can say.
    pub fn injector(&self) -> Injector<E> {
        Injector(self.messages.clone())
    }
}

impl<E> Drop for Runner<E> {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(name, "an endpoint's thread panicked");
            }
        }
    }
}

/// Messages first, then a slice of work; sleeps when there is neither.
fn run<E: Endpoint<M, I>, M, I>(mut endpoint: E, inbox: &Receiver<Message<E>>) {
    let mut activity = Activity::Busy;
    loop {
        let message = match activity {
            Activity::Busy => inbox.try_recv().ok(),
            Activity::Idle => match inbox.recv() {
                Ok(message) => Some(message),
                Err(_) => return,
            },
        };
        let Some(message) = message else {
            activity = endpoint.advance();
            continue;
        };
        match message {
            // Somebody who gave up waiting for the answer is no reason to stop. A read starts no work.
            Message::Read { bar, offset, answer } => {
                let _ = answer.send(endpoint.read32(bar, offset));
                continue;
            }
            Message::Write { bar, offset, value } => endpoint.write32(bar, offset, value),
            Message::Reset { done } => {
                endpoint.reset();
                let _ = done.send(());
            }
            Message::Do(action) => action(&mut endpoint),
            Message::Stop => return,
        }
        activity = Activity::Busy;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what happens to it; sleeps after some slices of work.
    #[derive(Default)]
    struct Counting {
        written: u32,
        work: u32,
        resets: u32,
        injected: u32,
    }

    impl Endpoint<(), ()> for Counting {
        fn attach(&mut self, (): (), (): ()) {}

        fn read32(&mut self, bar: u8, _: u64) -> u32 {
            match bar {
                0 => self.written,
                1 => self.work,
                2 => self.resets,
                3 => self.injected,
                _ => panic!("a fault of the model"),
            }
        }

        fn write32(&mut self, _: u8, _: u64, value: u32) {
            self.written = value;
            self.work = 0;
        }

        fn advance(&mut self) -> Activity {
            self.work += 1;
            if self.work < 3 { Activity::Busy } else { Activity::Idle }
        }

        fn reset(&mut self) {
            self.resets += 1;
        }
    }

    fn runner() -> Runner<Counting> {
        Runner::start("counting", Counting::default(), (), (), Duration::MAX).expect("a thread")
    }

    #[test]
    fn a_read_sees_the_writes_before_it() {
        let runner = runner();
        for value in 1..200 {
            runner.write(0, 0, value);
            assert_eq!(runner.read(0, 0), value);
        }
    }

    #[test]
    fn the_endpoint_works_until_it_is_idle_and_again_after_a_write() {
        let runner = runner();
        for value in 1..4 {
            runner.write(0, 0, value);
            while runner.read(1, 0) < 3 {
                std::thread::yield_now();
            }
            // Idle: reads alone start nothing.
            assert_eq!((0..10).map(|_| runner.read(1, 0)).max(), Some(3));
        }
    }

    #[test]
    fn resets_and_injected_actions_are_done_in_order() {
        let runner = runner();
        let injector = runner.injector();
        injector.clone().inject(|endpoint| endpoint.injected = 7);
        assert_eq!(runner.read(3, 0), 7);
        assert!(runner.reset());
        assert_eq!(runner.read(2, 0), 1);
        drop(runner);
        injector.inject(|endpoint| endpoint.injected = 8);
    }

    #[test]
    fn an_endpoint_that_fails_reads_all_ones() {
        let runner = runner();
        assert_eq!(runner.read(9, 0), ALL_ONES);
        assert_eq!(runner.read(0, 0), ALL_ONES);
        runner.write(0, 0, 1);
        assert!(!runner.reset());
    }

    #[test]
    fn patience_ends_a_wait_for_an_endpoint_that_is_stuck() {
        let mut runner = runner();
        let (let_go, held) = channel::<()>();
        runner.injector().inject(move |_| _ = held.recv());
        runner.set_patience(Duration::from_millis(1));
        assert_eq!(runner.read(0, 0), ALL_ONES);
        assert!(!runner.reset());
        let_go.send(()).expect("it waits");
        runner.set_patience(Duration::MAX);
        assert_eq!(runner.read(0, 0), 0);
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeCompiles;
