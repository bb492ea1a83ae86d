//! A card and its life: found, ready, lost.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kiln_abi::admin::{Event, Feature, LogPage, SelfTestKind};
use kiln_abi::page::{
    ERROR_ENTRIES, ERROR_ENTRY_BYTES, ErrorEntry, HEALTH_BYTES, Health, IDENTIFY_BYTES, Identify,
};
use kiln_abi::register::{
    ALL_ONES, BAR_REGISTERS, CC_ENABLE, CSTS_READY, Capabilities, MAGIC, RESET_KEY_ENGINES, Register,
};
use kiln_abi::{AdminCommand, DmaFault, INTERFACE_VERSION, ParseError};

use crate::dma::DmaBuffer;
use crate::error::{CardError, Loss};
use crate::features::Features;
use crate::memory::CardMemory;
use crate::queue::{Queue, Ticket};
use crate::transport::Transport;
use crate::wait::{Deadline, read, wait_for_status};

/// Entries of the admin rings.
const ADMIN_ENTRIES: u16 = 32;

/// How a card is brought up.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// I/O queue pairs.
    pub queues: u16,
    /// Entries of each ring; one less may be in flight.
    pub entries: u16,
    /// How long bring-up, and each admin command later, may take.
    pub timeout: Duration,
    /// How long a wait looks at the completion ring without pause before it sleeps until an interrupt. Zero saves the
    /// processor; some ten microseconds save the wake-up of short commands.
    pub polling: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { queues: 1, entries: 64, timeout: Duration::from_secs(30), polling: Duration::ZERO }
    }
}

/// A card in one of its states: [`Found`], [`Ready`] or [`Lost`].
#[derive(Debug)]
pub struct Card<State> {
    link: Link,
    state: State,
}

/// The transport, and the card's end when it comes. Disables the controller when the last user goes.
pub(crate) struct Link {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) loss: Arc<OnceLock<Loss>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.transport.name(), self.loss.get())
    }
}

/// Somebody answers at the transport; nothing else is known.
#[derive(Debug)]
pub struct Found;

/// The controller runs, and its queues exist.
#[derive(Debug)]
pub struct Ready {
    admin: Queue,
    queues: Vec<Queue>,
    identify: Identify,
    features: Features,
    memory: CardMemory,
    timeout: Duration,
}

/// The card is not used any more; it can be reset.
#[derive(Debug)]
pub struct Lost {
    reason: Loss,
}

impl Card<Found> {
    /// A card behind a transport.
    pub fn found(transport: Arc<dyn Transport>) -> Card<Found> {
        Card { link: Link { transport, loss: Arc::new(OnceLock::new()) }, state: Found }
    }

    pub(crate) fn shared_transport(&self) -> Arc<dyn Transport> {
        self.link.transport.clone()
    }

    /// How many I/O queue pairs it has.
    ///
    /// # Errors
    /// [`CardError::Gone`] and [`CardError::NotAKilnCard`].
    pub fn queue_pairs(&self) -> Result<u16, CardError> {
        check_identity(&*self.link.transport).map(|capabilities| u16::from(capabilities.queue_pairs))
    }

    /// Function-level reset: as after power-up. Everything in card memory is gone afterwards.
    pub fn reset(self) -> Result<Card<Found>, CardError> {
        self.link.transport.reset()?;
        Ok(self)
    }

    /// Brings the card up: checks that it is one, resets its controller, sets up the admin queue, reads who it is, and
    /// creates the I/O queues.
    ///
    /// # Errors
    /// [`CardError::Gone`], [`CardError::NotAKilnCard`], [`CardError::Description`] or [`CardError::Settings`] by what
    /// was found; [`CardError::NotYet`] or [`CardError::Never`] when the controller does not become ready.
    pub fn bring_up(self, settings: &Settings) -> Result<Card<Ready>, CardError> {
        let deadline = Deadline::after(settings.timeout);
        let transport = &self.link.transport;
        let capabilities = check_identity(&**transport)?;
        check_settings(settings, &capabilities)?;
        write(&**transport, Register::Cc, 0);
        wait_for_status(&**transport, CSTS_READY, 0, "the controller's stop", deadline)?;

        let entries = ADMIN_ENTRIES.min(capabilities.queue_entries_max);
        let admin = Queue::new(0, entries, 0, Duration::ZERO, &self.link)?;
        let (submission, completion) = admin.ring_addresses();
        for (register, value) in [
            (Register::Aqa, u32::from(entries) | u32::from(entries) << 16),
            (Register::Asq, submission as u32),
            (Register::AsqHigh, (submission >> 32) as u32),
            (Register::Acq, completion as u32),
            (Register::AcqHigh, (completion >> 32) as u32),
            (Register::Cc, CC_ENABLE),
        ] {
            write(&**transport, register, value);
        }
        wait_for_status(&**transport, CSTS_READY, CSTS_READY, "the controller's start", deadline)?;

        let page = Arc::new(DmaBuffer::new(&**transport, IDENTIFY_BYTES)?);
        let command = AdminCommand::Identify { address: page.address() };
        admin.run_admin(&command, Some(page.clone()), deadline)?;
        let mut bytes = [0; IDENTIFY_BYTES];
        page.read(0, &mut bytes)?;
        let identify = Identify::parse(&bytes).map_err(CardError::Description)?;
        let features = Features::read(&**transport)?;
        let queues = create_queues(&self.link, &admin, settings, &capabilities, deadline)?;
        tracing::info!(card = %transport.name(), model = identify.model.as_str(), queues = queues.len(), "card ready");
        let memory = CardMemory::new(identify.memory_bytes);
        let state = Ready { admin, queues, identify, features, memory, timeout: settings.timeout };
        Ok(Card { link: self.link, state })
    }
}

impl Card<Ready> {
    /// An I/O queue. Indices count from 0 to one less than [`Settings::queues`].
    pub fn queue(&self, index: usize) -> Option<&Queue> {
        self.state.queues.get(index)
    }

    /// All I/O queues.
    pub fn queues(&self) -> &[Queue] {
        &self.state.queues
    }

    /// Who the card is.
    pub fn identify(&self) -> &Identify {
        &self.state.identify
    }

    /// What it can do.
    pub fn features(&self) -> &Features {
        &self.state.features
    }

    /// The account of its memory.
    pub fn memory(&self) -> &CardMemory {
        &self.state.memory
    }

    /// What it is called.
    pub fn name(&self) -> String {
        self.link.transport.name()
    }

    /// What carries the card, in words: see [`Transport::kind`].
    pub fn transport_kind(&self) -> &'static str {
        self.link.transport.kind()
    }

    /// Makes host memory that the card can reach.
    pub fn dma_buffer(&self, bytes: usize) -> Result<DmaBuffer, CardError> {
        DmaBuffer::new(&*self.link.transport, bytes)
    }

    /// Why the card is lost, if it is.
    pub fn loss(&self) -> Option<&Loss> {
        self.link.loss.get()
    }

    /// DMA accesses outside of every mapping since the last call.
    pub fn take_faults(&self) -> Vec<DmaFault> {
        self.link.transport.take_faults()
    }

    /// Cycles of the card's clock since its reset.
    pub fn cycles(&self) -> Result<u64, CardError> {
        let low = read(&*self.link.transport, Register::Cycles);
        let high = read(&*self.link.transport, Register::CyclesHigh);
        if low == ALL_ONES && high == ALL_ONES {
            return Err(CardError::Gone);
        }
        Ok(u64::from(low) | u64::from(high) << 32)
    }

    /// Temperature, power and counters.
    pub fn health(&self) -> Result<Health, CardError> {
        let bytes: [u8; HEALTH_BYTES] = self.log(LogPage::Health)?;
        Ok(Health::from_bytes(&bytes))
    }

    /// The error log, newest first.
    pub fn errors(&self) -> Result<Vec<ErrorEntry>, CardError> {
        let bytes: [u8; ERROR_ENTRIES * ERROR_ENTRY_BYTES] = self.log(LogPage::Errors)?;
        let entries = bytes.as_chunks::<ERROR_ENTRY_BYTES>().0.iter();
        let parsed: Result<Vec<_>, ParseError> = entries.map(ErrorEntry::parse).collect();
        let mut errors = parsed.map_err(CardError::Description)?;
        errors.retain(|error| error.sequence != 0);
        Ok(errors)
    }

    pub(crate) fn log<const N: usize>(&self, page: LogPage) -> Result<[u8; N], CardError> {
        let buffer = Arc::new(self.dma_buffer(N)?);
        let command = AdminCommand::GetLog { page, address: buffer.address(), bytes: N as u32 };
        self.admin(&command, Some(buffer.clone()))?;
        let mut bytes = [0; N];
        buffer.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Runs a self-test.
    pub fn self_test(&self, kind: SelfTestKind) -> Result<(), CardError> {
        self.admin(&AdminCommand::SelfTest { kind }, None).map(|_| ())
    }

    /// Changes a feature.
    pub fn set_feature(&self, feature: Feature, value: u64) -> Result<(), CardError> {
        self.admin(&AdminCommand::SetFeature { feature, value }, None).map(|_| ())
    }

    /// Reads a feature.
    pub fn get_feature(&self, feature: Feature) -> Result<u64, CardError> {
        self.admin(&AdminCommand::GetFeature { feature }, None)
    }

    /// Waits for the card's next event. None when there was none in time; the request is taken back then.
    pub fn next_event(&self, patience: Duration) -> Result<Option<Event>, CardError> {
        self.state.admin.next_event(patience, self.state.timeout)
    }

    /// Tells the card that the host is alive.
    pub fn keep_alive(&self) -> Result<(), CardError> {
        self.admin(&AdminCommand::KeepAlive, None).map(|_| ())
    }

    /// Asks the card to abort a job. True when it did; the job's ticket then ends with status Aborted.
    pub fn abort(&self, ticket: &Ticket) -> Result<bool, CardError> {
        self.abort_within(ticket, self.state.timeout)
    }

    pub(crate) fn abort_within(&self, ticket: &Ticket, patience: Duration) -> Result<bool, CardError> {
        let (queue, command_id) = ticket.command();
        let command = AdminCommand::Abort { queue, command_id };
        self.state.admin.run_admin(&command, None, Deadline::after(patience)).map(|result| result == 1)
    }

    /// Resets the engines: jobs that run end with status Aborted; queues and card memory stay.
    pub fn reset_engines(&self) {
        write(&*self.link.transport, Register::Reset, RESET_KEY_ENGINES);
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.state.timeout = timeout;
    }

    pub(crate) fn admin(
        &self,
        command: &AdminCommand,
        buffer: Option<Arc<DmaBuffer>>,
    ) -> Result<u64, CardError> {
        self.state.admin.run_admin(command, buffer, Deadline::after(self.state.timeout))
    }

    /// Gives the card up. Every wait on its queues ends with [`CardError::Never`] or [`CardError::Gone`].
    pub fn lose(self) -> Card<Lost> {
        let reason = self.link.loss.get_or_init(|| Loss::GivenUp).clone();
        Card { link: self.link, state: Lost { reason } }
    }
}

impl Card<Lost> {
    /// A card that was given up behind a transport.
    pub(crate) fn lost(transport: Arc<dyn Transport>) -> Card<Lost> {
        let loss = Arc::new(OnceLock::from(Loss::GivenUp));
        Card { link: Link { transport, loss }, state: Lost { reason: Loss::GivenUp } }
    }

    /// Why.
    pub fn reason(&self) -> &Loss {
        &self.state.reason
    }

    /// Function-level reset. Everything in card memory is gone afterwards.
    pub fn reset(self) -> Result<Card<Found>, CardError> {
        self.link.transport.reset()?;
        Ok(Card::found(self.link.transport.clone()))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Whoever still holds a queue learns that nothing comes any more.
        self.loss.get_or_init(|| Loss::GivenUp);
        // The card stops its DMA soon; until then an access to memory that is unmapped by now faults.
        write(&*self.transport, Register::Cc, 0);
    }
}

fn write(transport: &dyn Transport, register: Register, value: u32) {
    transport.write32(BAR_REGISTERS, register.offset(), value);
}

/// Is it a card of ours, and do we speak its language?
fn check_identity(transport: &dyn Transport) -> Result<Capabilities, CardError> {
    match read(transport, Register::Magic) {
        ALL_ONES => return Err(CardError::Gone),
        MAGIC => {}
        got => return Err(CardError::NotAKilnCard { register: "Magic", expected: MAGIC, got }),
    }
    let version = read(transport, Register::Vs);
    if version >> 16 != INTERFACE_VERSION >> 16 {
        return Err(CardError::NotAKilnCard { register: "Vs", expected: INTERFACE_VERSION, got: version });
    }
    Ok(Capabilities::from_words([read(transport, Register::Cap), read(transport, Register::CapHigh)]))
}

fn check_settings(settings: &Settings, capabilities: &Capabilities) -> Result<(), CardError> {
    let Capabilities { queue_entries_max, queue_pairs, vectors, .. } = *capabilities;
    if queue_entries_max < kiln_abi::admin::QUEUE_ENTRIES_MIN || queue_pairs == 0 || vectors == 0 {
        let (field, got) = ("capabilities", u64::from(queue_entries_max));
        return Err(CardError::Description(ParseError::OutOfRange {
            field,
            got,
            min: 2,
            max: u64::from(u16::MAX),
        }));
    }
    let within = |what, got: u16, least: u16, allowed: u16| {
        if got < least || got > allowed {
            return Err(CardError::Settings { what, allowed: u64::from(allowed), got: u64::from(got) });
        }
        Ok(())
    };
    within("number of I/O queues", settings.queues, 1, u16::from(queue_pairs))?;
    within("entries of a queue", settings.entries, kiln_abi::admin::QUEUE_ENTRIES_MIN, queue_entries_max)
}

fn create_queues(
    link: &Link,
    admin: &Queue,
    settings: &Settings,
    capabilities: &Capabilities,
    deadline: Deadline,
) -> Result<Vec<Queue>, CardError> {
    let entries = settings.entries;
    (1..=settings.queues)
        .map(|id| {
            let vector = id.min(u16::from(capabilities.vectors) - 1);
            let queue = Queue::new(id, entries, vector, settings.polling, link)?;
            let (submission, address) = queue.ring_addresses();
            let command = AdminCommand::CreateCompletionQueue { id, entries, address, vector: Some(vector) };
            admin.run_admin(&command, None, deadline)?;
            let (address, completion_queue) = (submission, id);
            let command = AdminCommand::CreateSubmissionQueue { id, entries, address, completion_queue };
            admin.run_admin(&command, None, deadline)?;
            Ok(queue)
        })
        .collect()
}
