//! A card that lives in this process: an [`Endpoint`] with a thread that lets it run ([`kiln_bus`]).
//!
//! The endpoint reaches host memory only through mappings; every mapping has an address range of its own that is never
//! used again, with a gap behind it, so a stale or overlong access faults.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use kiln_abi::{Activity, DmaFault, Endpoint, HostMemory, Interrupts};
use kiln_bus::Runner;
use zeroize::Zeroize;

use super::{Mapping, Transport};
use crate::error::CardError;

/// The kind of endpoint that this transport drives.
pub type BoxedEndpoint = Box<dyn Endpoint<Arc<dyn HostMemory>, Arc<dyn Interrupts>>>;

/// How long a register read waits for its answer, as a root complex does before it returns all ones. Generous, because
/// an endpoint that is modelled in software may be slow.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Faults kept until somebody asks.
const FAULTS_MAX: usize = 16;
const PAGE_BYTES: u64 = 4096;

/// A transport to an endpoint in this process.
pub struct InProcess {
    name: String,
    runner: Runner<Boxed>,
    memory: Arc<Memory>,
    interrupts: Arc<Vectors>,
}

impl InProcess {
    /// Takes an endpoint, attaches it to memory and interrupts, and lets it run in a thread of its own.
    pub fn new(name: &str, endpoint: BoxedEndpoint) -> Result<InProcess, CardError> {
        let memory = Arc::new(Memory::new());
        let interrupts = Arc::new(Vectors::default());
        let thread = format!("card {name}");
        let runner = Runner::start(
            &thread,
            Boxed(endpoint),
            memory.clone() as _,
            interrupts.clone() as _,
            READ_TIMEOUT,
        )
        .map_err(|error| CardError::Transport { reason: format!("no thread for the card: {error}") })?;
        Ok(InProcess { name: name.to_owned(), runner, memory, interrupts })
    }

    /// The same, with another patience for register reads.
    pub fn with_read_timeout(mut self, read_timeout: Duration) -> InProcess {
        self.runner.set_patience(read_timeout);
        self
    }
}

/// An endpoint of any kind, as one kind.
struct Boxed(BoxedEndpoint);

impl Endpoint<Arc<dyn HostMemory>, Arc<dyn Interrupts>> for Boxed {
    fn attach(&mut self, memory: Arc<dyn HostMemory>, interrupts: Arc<dyn Interrupts>) {
        self.0.attach(memory, interrupts);
    }

    fn read32(&mut self, bar: u8, offset: u64) -> u32 {
        self.0.read32(bar, offset)
    }

    fn write32(&mut self, bar: u8, offset: u64, value: u32) {
        self.0.write32(bar, offset, value);
    }

    fn advance(&mut self) -> Activity {
        self.0.advance()
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

impl Transport for InProcess {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn kind(&self) -> &'static str {
        "in this process"
    }

    fn read32(&self, bar: u8, offset: u64) -> u32 {
        self.runner.read(bar, offset)
    }

    fn write32(&self, bar: u8, offset: u64, value: u32) {
        self.runner.write(bar, offset, value);
    }

    fn map(&self, bytes: usize) -> Result<Box<dyn Mapping>, CardError> {
        let mapping = self.memory.map(bytes)?;
        Ok(Box::new(mapping))
    }

    fn interrupts_seen(&self, vector: u16) -> u64 {
        lock(&self.interrupts.counts).get(&vector).copied().unwrap_or(0)
    }

    fn wait_interrupt(&self, vector: u16, seen: u64, until: Instant) {
        let mut counts = lock(&self.interrupts.counts);
        while counts.get(&vector).copied().unwrap_or(0) <= seen {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return;
            };
            counts =
                self.interrupts.raised.wait_timeout(counts, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn reset(&self) -> Result<(), CardError> {
        if self.runner.reset() { Ok(()) } else { Err(CardError::Gone) }
    }

    fn take_faults(&self) -> Vec<DmaFault> {
        std::mem::take(&mut lock(&self.memory.faults))
    }
}

/// Interrupt counts by vector.
#[derive(Default)]
struct Vectors {
    counts: Mutex<HashMap<u16, u64>>,
    raised: Condvar,
}

impl Interrupts for Vectors {
    fn raise(&self, vector: u16) {
        *lock(&self.counts).entry(vector).or_insert(0) += 1;
        self.raised.notify_all();
    }
}

/// The mapped part of host memory.
struct Memory {
    regions: RwLock<Regions>,
    faults: Mutex<Vec<DmaFault>>,
}

struct Regions {
    by_address: BTreeMap<u64, Arc<Mutex<Vec<u8>>>>,
    next_address: u64,
}

impl Memory {
    fn new() -> Memory {
        let regions = Regions { by_address: BTreeMap::new(), next_address: 1 << 32 };
        Memory { regions: RwLock::new(regions), faults: Mutex::new(Vec::new()) }
    }

    fn map(self: &Arc<Memory>, bytes: usize) -> Result<Region, CardError> {
        let fail = |reason: &str| CardError::Map { bytes: bytes as u64, reason: reason.to_owned() };
        let mut data = Vec::new();
        data.try_reserve_exact(bytes).map_err(|error| fail(&error.to_string()))?;
        data.resize(bytes, 0);
        let data = Arc::new(Mutex::new(data));
        let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        let address = regions.next_address;
        let pages = (bytes as u64).div_ceil(PAGE_BYTES) + 1;
        regions.next_address = pages
            .checked_mul(PAGE_BYTES)
            .and_then(|gap| address.checked_add(gap))
            .ok_or_else(|| fail("no address"))?;
        regions.by_address.insert(address, data.clone());
        Ok(Region { address, length: bytes, data, memory: self.clone() })
    }

    /// Runs `access` on the bytes of one mapping that cover the whole range.
    fn with<R>(&self, fault: DmaFault, access: impl FnOnce(&mut [u8]) -> R) -> Result<R, DmaFault> {
        let found = {
            let regions = self.regions.read().unwrap_or_else(PoisonError::into_inner);
            let below = regions.by_address.range(..=fault.address).next_back();
            below.map(|(start, data)| (*start, data.clone()))
        };
        if let Some((start, data)) = found {
            let mut data = lock(&data);
            let range = usize::try_from(fault.address - start).ok().and_then(|offset| {
                let end = usize::try_from(fault.length).ok().and_then(|length| offset.checked_add(length))?;
                data.get_mut(offset..end)
            });
            if let Some(bytes) = range {
                return Ok(access(bytes));
            }
        }
        tracing::warn!(%fault, "DMA fault");
        let mut faults = lock(&self.faults);
        if faults.len() < FAULTS_MAX {
            faults.push(fault);
        }
        Err(fault)
    }
}

impl HostMemory for Memory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), DmaFault> {
        let fault = DmaFault { address, length: buffer.len() as u64, write: false };
        self.with(fault, |bytes| buffer.copy_from_slice(bytes))
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), DmaFault> {
        let fault = DmaFault { address, length: data.len() as u64, write: true };
        self.with(fault, |bytes| bytes.copy_from_slice(data))
    }
}

/// One mapping. Dropping it unmaps it; its bytes are erased, because they may be part of a witness.
struct Region {
    address: u64,
    length: usize,
    data: Arc<Mutex<Vec<u8>>>,
    memory: Arc<Memory>,
}

impl Mapping for Region {
    fn address(&self) -> u64 {
        self.address
    }

    fn length(&self) -> usize {
        self.length
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) {
        buffer.copy_from_slice(&lock(&self.data)[offset..offset + buffer.len()]);
    }

    fn write(&self, offset: usize, data: &[u8]) {
        lock(&self.data)[offset..offset + data.len()].copy_from_slice(data);
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let mut regions = self.memory.regions.write().unwrap_or_else(PoisonError::into_inner);
        regions.by_address.remove(&self.address);
        drop(regions);
        // Emptied, so that an access that found the mapping just before it was removed finds nothing either.
        let mut data = lock(&self.data);
        data.as_mut_slice().zeroize();
        data.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is never left half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
