//! Interrupts as counts: one eventfd a vector, which the kernel or the other process signals.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// One interrupt vector. Any number of threads may wait for it: one of them, the *leader*, sleeps on the eventfd and
/// counts for all; the others sleep until it has looked. So a signal is counted once and wakes everybody.
pub(crate) struct Vector {
    event: OwnedFd,
    state: Mutex<State>,
    looked: Condvar,
}

#[derive(Default)]
struct State {
    count: u64,
    /// A leader sleeps on the eventfd; nobody else may empty it, or it would not wake up.
    led: bool,
}

impl Vector {
    pub(crate) fn new() -> std::io::Result<Vector> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Vector { event, state: Mutex::default(), looked: Condvar::new() })
    }

    /// What is to be signalled.
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Signals counted so far. While a leader sleeps this may be behind; a wait for more than it then ends at once.
    pub(crate) fn seen(&self) -> u64 {
        let mut state = self.lock();
        if !state.led {
            state.count += self.take();
        }
        state.count
    }

    /// Sleeps until more than `seen` signals were counted, or until the instant.
    pub(crate) fn wait(&self, seen: u64, until: Instant) {
        let mut state = self.lock();
        loop {
            if !state.led {
                state.count += self.take();
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.count > seen || left.is_zero() {
                return;
            }
            if state.led {
                state = self.looked.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.led = true;
            drop(state);
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            // Whatever ends the sleep, the count is looked at next.
            let _ = poll(&mut [PollFd::new(&self.event, PollFlags::IN)], Some(&timeout));
            state = self.lock();
            state.led = false;
            state.count += self.take();
            self.looked.notify_all();
        }
    }

    /// Empties the eventfd.
    fn take(&self) -> u64 {
        let mut value = [0; 8];
        match rustix::io::read(&self.event, &mut value) {
            Ok(8) => u64::from_ne_bytes(value),
            _ => 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn signal(vector: &Vector) {
        rustix::io::write(vector.event(), &1_u64.to_ne_bytes()).expect("signalled");
    }

    fn soon(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    #[test]
    fn signals_are_counted_also_when_nobody_waits() {
        let vector = Vector::new().expect("an eventfd");
        assert_eq!(vector.seen(), 0);
        (0..3).for_each(|_| signal(&vector));
        assert_eq!(vector.seen(), 3);
        vector.wait(2, soon(60_000));
        vector.wait(3, soon(5));
        assert_eq!(vector.seen(), 3);
    }

    #[test]
    fn one_signal_wakes_every_waiter() {
        let vector = Vector::new().expect("an eventfd");
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| vector.wait(0, soon(60_000)));
            }
            // Some wait already, some come later: all must see it.
            std::thread::sleep(Duration::from_millis(5));
            signal(&vector);
        });
        assert_eq!(vector.seen(), 1);
    }

    #[test]
    fn leader_that_gives_up_hands_over() {
        let vector = Vector::new().expect("an eventfd");
        std::thread::scope(|scope| {
            scope.spawn(|| vector.wait(0, soon(20)));
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(5));
                vector.wait(0, soon(60_000));
            });
            std::thread::sleep(Duration::from_millis(50));
            signal(&vector);
        });
    }
}
