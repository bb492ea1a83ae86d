//! Handles on device-resident vectors, and the recipes that make them again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crossbeam::channel::Sender;

use crate::kernel::Kernel;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A handle on a device-resident vector of `len` field elements.
///
/// Vectors are never changed: a kernel makes new ones. Cloning is cheap; the device memory goes back when the last
/// handle drops. A handle also holds the recipe (a kernel, and the recipes of its inputs), so that what a failed
/// device held can be made again elsewhere; host data that a recipe starts from stays in memory as long as a vector
/// made from it does.
#[derive(Clone)]
pub struct Vector(pub(crate) Arc<VectorState>);

impl Vector {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Lets go of what the vector was made from, so that host memory which only its recipe holds is given back. In return
    /// the vector is lost if the device that holds it fails. Call it when the vector has been made.
    pub fn settle(&self) {
        self.0.recipe.forget_inputs();
    }

    pub(crate) fn id(&self) -> VectorId {
        self.0.id
    }

    pub(crate) fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        lock(&self.0.places)
    }

    pub(crate) fn add_place(&self, device: DeviceKey, releases: &Sender<VectorId>) {
        let mut places = self.places();
        if places.iter().all(|place| place.device != device) {
            places.push(Place { device, releases: releases.clone() });
        }
    }

    pub(crate) fn remove_place(&self, device: DeviceKey) {
        self.places().retain(|place| place.device != device);
    }
}

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vector({}, {} elements)", self.0.id.0, self.len())
    }
}

/// Names a vector in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct VectorId(u64);

/// Names a device in this process: engines do not share devices, but a vector may meet more than one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DeviceKey(u64);

impl DeviceKey {
    pub(crate) fn new() -> DeviceKey {
        DeviceKey(NEXT_ID.fetch_add(1, Ordering::Relaxed))
    }
}

/// A device that holds a vector, or will once it has done what was sent to it before.
pub(crate) struct Place {
    pub(crate) device: DeviceKey,
    releases: Sender<VectorId>,
}

pub(crate) struct VectorState {
    id: VectorId,
    len: usize,
    recipe: Arc<Recipe>,
    output: usize,
    places: Mutex<Vec<Place>>,
}

impl VectorState {
    pub(crate) fn recipe(&self) -> &Arc<Recipe> {
        &self.recipe
    }
}

impl Drop for VectorState {
    fn drop(&mut self) {
        let places = self.places.get_mut().unwrap_or_else(PoisonError::into_inner);
        for place in places.drain(..) {
            // A worker that is gone has freed everything already.
            let _ = place.releases.send(self.id);
        }
    }
}

/// How a kernel's outputs are made.
pub(crate) struct Recipe {
    pub(crate) kernel: Kernel,
    /// None once they are forgotten.
    inputs: Mutex<Option<Vec<Operand>>>,
    input_lens: Vec<usize>,
    lens: Vec<usize>,
    live: Mutex<Vec<Weak<VectorState>>>,
}

/// An output of a recipe.
#[derive(Clone)]
pub(crate) struct Operand {
    recipe: Arc<Recipe>,
    output: usize,
}

impl Operand {
    pub(crate) fn of(vector: &Vector) -> Operand {
        Operand { recipe: vector.0.recipe.clone(), output: vector.0.output }
    }

    pub(crate) fn len(&self) -> usize {
        self.recipe.lens[self.output]
    }

    /// The vector's living handle, or a new handle on a vector that is nowhere yet.
    pub(crate) fn revive(&self) -> Vector {
        Recipe::vector(&self.recipe, self.output)
    }
}

impl Recipe {
    pub(crate) fn new(kernel: Kernel, inputs: Vec<Operand>, lens: Vec<usize>) -> Arc<Recipe> {
        let live = Mutex::new(lens.iter().map(|_| Weak::new()).collect());
        let input_lens = inputs.iter().map(Operand::len).collect();
        Arc::new(Recipe { kernel, inputs: Mutex::new(Some(inputs)), input_lens, lens, live })
    }

    pub(crate) fn input_lens(&self) -> Vec<usize> {
        self.input_lens.clone()
    }

    /// What it is made from; none if that is forgotten.
    pub(crate) fn inputs(&self) -> Option<Vec<Operand>> {
        lock(&self.inputs).clone()
    }

    fn forget_inputs(&self) {
        if !self.kernel.is_source() {
            let inputs = lock(&self.inputs).take();
            let_go(inputs.unwrap_or_default());
        }
    }

    pub(crate) fn output_count(&self) -> usize {
        self.lens.len()
    }

    /// The handle on output `output`, made if none lives.
    pub(crate) fn vector(recipe: &Arc<Recipe>, output: usize) -> Vector {
        let mut live = lock(&recipe.live);
        if let Some(state) = live[output].upgrade() {
            return Vector(state);
        }
        let state = Arc::new(VectorState {
            id: VectorId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            len: recipe.lens[output],
            recipe: recipe.clone(),
            output,
            places: Mutex::new(Vec::new()),
        });
        live[output] = Arc::downgrade(&state);
        Vector(state)
    }

    /// The handles that live, by output.
    pub(crate) fn living(&self) -> Vec<Option<Vector>> {
        lock(&self.live).iter().map(|state| state.upgrade().map(Vector)).collect()
    }
}

impl Drop for Recipe {
    /// Host data that nobody else shares is wiped, as it may be secret.
    fn drop(&mut self) {
        if let Kernel::Upload(data) = &mut self.kernel {
            data.wipe();
        }
        let inputs = self.inputs.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let_go(inputs.unwrap_or_default());
    }
}

/// Lets go of ancestors one by one: a chain may be longer than the stack is deep.
fn let_go(mut orphans: Vec<Operand>) {
    while let Some(Operand { recipe, .. }) = orphans.pop() {
        if let Some(mut recipe) = Arc::into_inner(recipe) {
            let inputs = recipe.inputs.get_mut().unwrap_or_else(PoisonError::into_inner).take();
            orphans.extend(inputs.into_iter().flatten());
        }
    }
}

/// Locks, also after another thread panicked while it held the lock: the values below are valid at every step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
