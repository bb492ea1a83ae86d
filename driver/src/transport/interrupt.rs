//! Interrupts as counts: one eventfd a vector, which the kernel or the other process signals.

use std::os::fd::AsRawFd;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::sync::{Condvar, Mutex, MutexGuard};

/// Most vectors that are used.
pub(crate) const VECTORS_MAX: u32 = 64;
/// How long a wait for a vector that is not there lasts before the waiter looks by itself.
const NO_VECTOR: Duration = Duration::from_millis(1);

/// Where signals come from.
pub(crate) trait Signals {
    /// Signals since the last call.
    fn take(&self) -> u64;
    /// Sleeps until there are some, or until the time has passed.
    fn sleep(&self, time: Duration);
}

/// An eventfd, and what watches it.
pub(crate) struct Watched {
    event: EventFd,
    sleep: Epoll,
}

impl Signals for Watched {
    fn take(&self) -> u64 {
        self.event.read().unwrap_or(0)
    }

    fn sleep(&self, time: Duration) {
        // Whatever ends the sleep, the count is looked at next.
        let _ = self.sleep.wait(milliseconds(time), &mut [EpollEvent::default()]);
    }
}

/// One interrupt vector. Any number of threads may wait for it: one of them, the *leader*, sleeps on the eventfd and
/// counts for all; the others sleep until it has looked. So a signal is counted once and wakes everybody.
pub(crate) struct Vector<S = Watched> {
    signals: S,
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
        let event = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?;
        let sleep = Epoll::new()?;
        sleep.ctl(ControlOperation::Add, event.as_raw_fd(), EpollEvent::new(EventSet::IN, 0))?;
        Ok(Vector::of(Watched { event, sleep }))
    }

    /// What is to be signalled.
    pub(crate) fn event(&self) -> &EventFd {
        &self.signals.event
    }
}

impl<S: Signals> Vector<S> {
    /// A vector of this source.
    pub(crate) fn of(signals: S) -> Vector<S> {
        Vector { signals, state: Mutex::default(), looked: Condvar::new() }
    }

    /// Signals counted so far. While a leader sleeps this may be behind; a wait for more than it then ends at once.
    pub(crate) fn seen(&self) -> u64 {
        let mut state = self.lock();
        if !state.led {
            state.count += self.signals.take();
        }
        state.count
    }

    /// Sleeps until more than `seen` signals were counted, or until the instant.
    pub(crate) fn wait(&self, seen: u64, until: Instant) {
        let mut state = self.lock();
        loop {
            if !state.led {
                state.count += self.signals.take();
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
            self.signals.sleep(left);
            state = self.lock();
            state.led = false;
            state.count += self.signals.take();
            self.looked.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vectors of a card, by number.
pub(crate) struct Vectors(pub(crate) Vec<Vector>);

impl Vectors {
    /// Signals of a vector that were counted so far.
    pub(crate) fn seen(&self, vector: u16) -> u64 {
        self.0.get(usize::from(vector)).map_or(0, Vector::seen)
    }

    /// Sleeps until more than `seen` signals of a vector were counted, or until the instant. A card that promised more
    /// vectors than it has is polled: then the sleep is short.
    pub(crate) fn wait(&self, vector: u16, seen: u64, until: Instant) {
        match self.0.get(usize::from(vector)) {
            Some(vector) => vector.wait(seen, until),
            None => std::thread::sleep(until.saturating_duration_since(Instant::now()).min(NO_VECTOR)),
        }
    }
}

/// A time to sleep, in whole milliseconds and not shorter.
fn milliseconds(time: Duration) -> i32 {
    i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn signal(vector: &Vector) {
        vector.event().write(1).expect("signalled");
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
