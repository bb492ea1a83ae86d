//! What a task cost: every cycle of a unit is busy, stalled for one named cause, or idle, and every byte is counted.

/// Why a unit that had a task did no work in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Data from or to card memory was not there yet.
    Memory,
    /// The host link was not ready.
    Host,
    /// An operand was still in a pipeline.
    Hazard,
}

/// Cycles of one or more like units during a task or a part of one. Addition is for parts that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cycles {
    /// Time that passed. \[cycles\]
    pub total: u64,
    /// Did work. \[cycles\]
    pub busy: u64,
    /// Waited for card memory. \[cycles\]
    pub stall_memory: u64,
    /// Waited for the host link. \[cycles\]
    pub stall_host: u64,
    /// Waited for an operand in a pipeline. \[cycles\]
    pub stall_hazard: u64,
    /// Had nothing to do: fewer parts of work than units. \[cycles\]
    pub idle: u64,
}

impl Cycles {
    /// A part of a task in which the unit worked all the time.
    pub fn busy(cycles: u64) -> Cycles {
        Cycles { total: cycles, busy: cycles, ..Cycles::default() }
    }

    /// A part of a task in which the unit waited all the time.
    pub fn stalled(cause: Cause, cycles: u64) -> Cycles {
        Cycles { total: cycles, ..Cycles::default() }.and_stalled(cause, cycles)
    }

    /// A part that took `total` cycles, of which `busy` did work and the rest was spent waiting for `cause`.
    pub fn stretched(busy: u64, total: u64, cause: Cause) -> Cycles {
        let total = total.max(busy);
        Cycles { total, busy, ..Cycles::default() }.and_stalled(cause, total - busy)
    }

    fn and_stalled(mut self, cause: Cause, cycles: u64) -> Cycles {
        match cause {
            Cause::Memory => self.stall_memory += cycles,
            Cause::Host => self.stall_host += cycles,
            Cause::Hazard => self.stall_hazard += cycles,
        }
        self
    }

    /// Then `next`.
    pub fn then(self, next: Cycles) -> Cycles {
        Cycles {
            total: self.total + next.total,
            busy: self.busy + next.busy,
            stall_memory: self.stall_memory + next.stall_memory,
            stall_host: self.stall_host + next.stall_host,
            stall_hazard: self.stall_hazard + next.stall_hazard,
            idle: self.idle + next.idle,
        }
    }

    /// Cycles of `units` like units that ran side by side, as cycles of one: what does not divide counts as idle.
    pub fn averaged(&self, units: u64) -> Cycles {
        let [busy, memory, host, hazard] =
            [self.busy, self.stall_memory, self.stall_host, self.stall_hazard].map(|cycles| cycles / units);
        let total = self.total / units;
        let idle = total - busy - memory - host - hazard;
        Cycles { total, busy, stall_memory: memory, stall_host: host, stall_hazard: hazard, idle }
    }

    /// Whether every cycle is accounted for exactly once.
    pub fn balanced(&self) -> bool {
        self.busy + self.stall_memory + self.stall_host + self.stall_hazard + self.idle == self.total
    }
}

/// What a task cost its engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Cycles of the engine.
    pub cycles: Cycles,
    /// Read from card memory. \[bytes\]
    pub memory_read_bytes: u64,
    /// Written to card memory. \[bytes\]
    pub memory_write_bytes: u64,
    /// Payload moved over the host link, both ways. \[bytes\]
    pub host_bytes: u64,
}

impl Cost {
    /// Then `next`.
    pub fn then(self, next: Cost) -> Cost {
        Cost {
            cycles: self.cycles.then(next.cycles),
            memory_read_bytes: self.memory_read_bytes + next.memory_read_bytes,
            memory_write_bytes: self.memory_write_bytes + next.memory_write_bytes,
            host_bytes: self.host_bytes + next.host_bytes,
        }
    }

    /// From and to card memory together. \[bytes\]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_read_bytes + self.memory_write_bytes
    }
}
