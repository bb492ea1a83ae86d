//! Lists of values in host memory that many may hold: owned, or lent by whoever keeps them.

use std::ops::Deref;
use std::sync::Arc;

use zeroize::Zeroize;

/// Whoever lends values: a mapped file, for example. What it gives never changes.
pub type Lender<T> = dyn AsRef<[T]> + Send + Sync;

/// Values in host memory. Cloning shares them. They may be secret: the last to let go of owned ones wipes them.
pub struct Values<T: Zeroize + 'static>(Store<T>);

enum Store<T: 'static> {
    Owned(Arc<Vec<T>>),
    Lent(Arc<Lender<T>>),
}

impl<T: Zeroize> Values<T> {
    /// Values that stay where they are, such as in a mapped file, as long as a clone of this lives.
    pub fn lent(lender: Arc<Lender<T>>) -> Self {
        Self(Store::Lent(lender))
    }

    /// True if the values are somebody else's: they take no memory of this process's heap.
    pub fn is_lent(&self) -> bool {
        matches!(self.0, Store::Lent(_))
    }
}

impl<T: Zeroize> Drop for Values<T> {
    fn drop(&mut self) {
        let Store::Owned(values) = &mut self.0 else { return };
        // When several let go at the same time, exactly one is given the values here. Asking whether anybody else holds
        // them would not do: each could see the other.
        if let Some(mut values) = Arc::into_inner(std::mem::take(values)) {
            values.zeroize();
        }
    }
}

impl<T: Zeroize> Clone for Values<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Store::Owned(values) => Store::Owned(values.clone()),
            Store::Lent(lender) => Store::Lent(lender.clone()),
        })
    }
}

impl<T: Zeroize> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Store::Owned(values) => values,
            Store::Lent(lender) => (**lender).as_ref(),
        }
    }
}

impl<T: Zeroize> From<Vec<T>> for Values<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Store::Owned(Arc::new(values)))
    }
}

/// Whoever else holds the [`Arc`] itself must wipe what they hold last.
impl<T: Zeroize> From<Arc<Vec<T>>> for Values<T> {
    fn from(values: Arc<Vec<T>>) -> Self {
        Self(Store::Owned(values))
    }
}

impl<T: PartialEq + Zeroize> PartialEq for Values<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Shows the length alone: the values may be secret.
impl<T: Zeroize> std::fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Values({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn lent_values_are_read_in_place_and_never_wiped() {
        let shelf: Arc<Vec<i32>> = Arc::new(vec![1, 2, 3]);
        let lent = Values::<i32>::lent(shelf.clone());
        assert_eq!(lent.as_ptr(), shelf.as_ptr());
        assert!(lent.is_lent());
        drop(lent);
        assert_eq!(*shelf, [1, 2, 3]);
    }

    /// Tells how often it was wiped.
    struct Counted(Arc<AtomicUsize>);

    impl Zeroize for Counted {
        fn zeroize(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn owned_values_are_wiped_once_however_many_let_go_at_the_same_time() {
        const HOLDERS: usize = 4;
        let wiped = Arc::new(AtomicUsize::new(0));
        for round in 1..=500 {
            let values = Values::from(vec![Counted(wiped.clone())]);
            let barrier = Barrier::new(HOLDERS);
            std::thread::scope(|scope| {
                for holder in [(); HOLDERS].map(|()| values.clone()) {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        barrier.wait();
                        drop(holder);
                    });
                }
                assert_eq!(wiped.load(Ordering::SeqCst), round - 1, "still held");
                drop(values);
            });
            assert_eq!(wiped.load(Ordering::SeqCst), round);
        }
    }
}
