//! Lists of values in host memory that many may hold: owned, or lent by whoever keeps them.

use std::ops::Deref;
use std::sync::Arc;

use zeroize::Zeroize;

/// Whoever lends values: a mapped file, for example. What it gives never changes.
pub type Lender<T> = dyn AsRef<[T]> + Send + Sync;

/// Values in host memory. Cloning shares them.
pub struct Values<T: 'static>(Store<T>);

enum Store<T: 'static> {
    Owned(Arc<Vec<T>>),
    Lent(Arc<Lender<T>>),
}

impl<T> Values<T> {
    /// Values that stay where they are, such as in a mapped file, as long as a clone of this lives.
    pub fn lent(lender: Arc<Lender<T>>) -> Self {
        Self(Store::Lent(lender))
    }

    /// True if the values are somebody else's: they take no memory of this process's heap.
    pub fn is_lent(&self) -> bool {
        matches!(self.0, Store::Lent(_))
    }
}

impl<T: Zeroize> Values<T> {
    /// Wipes the values if they are owned and nobody else shares them.
    pub fn wipe(&mut self) {
        if let Store::Owned(values) = &mut self.0
            && let Some(values) = Arc::get_mut(values)
        {
            values.zeroize();
        }
    }
}

impl<T> Clone for Values<T> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Store::Owned(values) => Store::Owned(values.clone()),
            Store::Lent(lender) => Store::Lent(lender.clone()),
        })
    }
}

impl<T> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Store::Owned(values) => values,
            Store::Lent(lender) => (**lender).as_ref(),
        }
    }
}

impl<T> From<Vec<T>> for Values<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Store::Owned(Arc::new(values)))
    }
}

impl<T> From<Arc<Vec<T>>> for Values<T> {
    fn from(values: Arc<Vec<T>>) -> Self {
        Self(Store::Owned(values))
    }
}

impl<T: PartialEq> PartialEq for Values<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Shows the length alone: the values may be secret.
impl<T> std::fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Values({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_values_are_read_in_place_and_never_wiped() {
        let shelf: Arc<Vec<i32>> = Arc::new(vec![1, 2, 3]);
        let mut lent = Values::<i32>::lent(shelf.clone());
        assert_eq!(lent.as_ptr(), shelf.as_ptr());
        lent.wipe();
        assert_eq!(*shelf, [1, 2, 3]);
        assert!(lent.is_lent());
    }

    #[test]
    fn owned_values_are_wiped_by_their_last_holder_only() {
        let mut first = Values::from(vec![7u64; 2]);
        let mut second = first.clone();
        first.wipe();
        assert_eq!(*second, [7, 7]);
        drop(first);
        second.wipe();
        assert!(second.is_empty());
    }
}
