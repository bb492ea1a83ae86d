//! Locks and condition variables: those of the standard library, and, in a build with `--cfg loom`, those of Loom, which
//! tries every order in which threads can take them (see `model`).

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
