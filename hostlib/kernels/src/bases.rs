//! Commitment bases: points that stay on a device once it has used them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ark_bn254::G1Affine;

use crate::multiples::Multiples;
use crate::values::Values;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A list of points of G1, uploaded to a device the first time a commitment there needs it and kept there until the
/// last clone of this handle drops.
#[derive(Clone)]
pub struct Bases(Arc<Inner>);

struct Inner {
    id: u64,
    points: Values<G1Affine>,
    multiples: Option<Arc<Multiples>>,
}

impl Bases {
    /// Names these points. They must be on the curve (G1 of BN254 has cofactor one, so then they are in the group);
    /// infinity is allowed.
    pub fn new(points: impl Into<Values<G1Affine>>) -> Bases {
        Bases::named(points.into(), None)
    }

    /// The same points with [their multiples](Multiples::open), which make commitments to columns of any scalars faster
    /// on the processor. None if the multiples are those of another number of points.
    pub fn with_multiples(&self, multiples: Arc<Multiples>) -> Option<Bases> {
        (multiples.bases() == self.len()).then(|| Bases::named(self.0.points.clone(), Some(multiples)))
    }

    fn named(points: Values<G1Affine>, multiples: Option<Arc<Multiples>>) -> Bases {
        Bases(Arc::new(Inner { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), points, multiples }))
    }

    /// The multiples, if there are any.
    pub(crate) fn multiples(&self) -> Option<&Arc<Multiples>> {
        self.0.multiples.as_ref()
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.0.points.len()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.0.points.is_empty()
    }

    /// The points.
    pub fn points(&self) -> &Values<G1Affine> {
        &self.0.points
    }

    /// A number that no other list of this process has.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// A guard that tells whether a handle still lives.
    pub(crate) fn watch(&self) -> BasesWatch {
        BasesWatch(Arc::downgrade(&self.0))
    }
}

impl std::fmt::Debug for Bases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bases({} points)", self.len())
    }
}

/// Tells whether a [`Bases`] still has a handle, without keeping it alive.
pub(crate) struct BasesWatch(std::sync::Weak<Inner>);

impl BasesWatch {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}
