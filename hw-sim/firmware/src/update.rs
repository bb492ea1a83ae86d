//! Firmware management, as the host asks for it: an image is downloaded into a buffer, checked there, written into a slot
//! that does not run, and started from at the next reset.
//!
//! Power may fail at any moment. The slot that runs and the one to which the card goes back are never touched; a slot that
//! is written gets its header last, in one page; and what starts is told by the commit record, which changes at once.

use kiln_abi::Status;
use kiln_abi::admin::CommitAction;
use kiln_abi::firmware::{CHUNK_BYTES_MAX, ImageHeader};
use kiln_abi::page::{FACTORY_SLOT, FIRMWARE_SLOTS, FirmwareSlots};

use crate::boot::startable;
use crate::control::Firmware;
use crate::flash::{PAGE_BYTES, SECTOR_BYTES, SLOT_BYTES, slot_address};
use crate::hardware::Hardware;
use crate::image::{check_buffer, check_slot};
use crate::record::Record;
use crate::validate::Refusal;

/// What is fetched from the host at once. \[bytes\]
const FETCH_BYTES: usize = 4096;

impl Firmware {
    /// Takes a piece of an image into the buffer.
    pub(crate) fn download(
        &mut self,
        hardware: &mut impl Hardware,
        address: u64,
        bytes: u32,
        offset: u32,
    ) -> Result<u64, Refusal> {
        if bytes == 0 || bytes > CHUNK_BYTES_MAX {
            return Err((Status::InvalidField, u64::from(bytes)));
        }
        if offset != 0 && offset != self.downloaded {
            return Err((Status::FirmwareOffset, u64::from(self.downloaded)));
        }
        let end = offset.checked_add(bytes).filter(|end| *end <= SLOT_BYTES);
        let end = end.ok_or((Status::FirmwareTooLarge, u64::from(SLOT_BYTES)))?;
        let (mut at, mut buffer) = (offset, [0; FETCH_BYTES]);
        while at < end {
            let here = ((end - at) as usize).min(FETCH_BYTES);
            let source = address.saturating_add(u64::from(at - offset));
            hardware
                .host_read(source, &mut buffer[..here])
                .map_err(|fault| (Status::HostMemoryFault, fault.address))?;
            if let Some(target) = hardware.image_buffer().get_mut(at as usize..at as usize + here) {
                target.copy_from_slice(&buffer[..here]);
            }
            at += here as u32;
        }
        // Only now, so that a piece that could not be fetched can be sent again.
        self.downloaded = end;
        Ok(u64::from(end))
    }

    /// Installs or activates. Writing flash takes long, and the host cannot speak meanwhile: it counts as alive.
    pub(crate) fn commit(
        &mut self,
        hardware: &mut impl Hardware,
        slot: u8,
        action: CommitAction,
    ) -> Result<u64, Refusal> {
        let answer = match action {
            CommitAction::Install => self.install(hardware, slot),
            CommitAction::Activate => self.activate(hardware, slot),
        };
        self.keep_alive_cycle = hardware.cycles();
        answer.map(u64::from)
    }

    fn install(&mut self, hardware: &mut impl Hardware, slot: u8) -> Result<u32, Refusal> {
        let start = slot_address(slot).ok_or((Status::FirmwareSlotInvalid, u64::from(slot)))?;
        if slot == self.running.slot {
            return Err((Status::FirmwareSlotInUse, u64::from(slot)));
        }
        let mut record = Record::read(hardware);
        // One download is for one commit.
        let downloaded = core::mem::take(&mut self.downloaded);
        let header = check_buffer(hardware, downloaded, record.floor)?;
        if record.forget(slot, self.running.slot) && !record.write(hardware) {
            return Err((Status::FirmwareFlash, u64::from(slot)));
        }
        self.versions[usize::from(slot)] = 0;
        write_slot(hardware, start, &header);
        if check_slot(hardware, slot, record.floor) != Ok(header) {
            return Err((Status::FirmwareFlash, u64::from(slot)));
        }
        self.versions[usize::from(slot)] = header.version;
        Ok(header.version)
    }

    fn activate(&mut self, hardware: &mut impl Hardware, slot: u8) -> Result<u32, Refusal> {
        let mut record = Record::read(hardware);
        let image = startable(hardware, slot, record.floor).map_err(|refusal| match refusal {
            // Nothing else may be said of an empty slot.
            (Status::FirmwareMalformed, _) => (Status::FirmwareSlotInvalid, u64::from(slot)),
            other => other,
        })?;
        let runs = slot == self.running.slot && slot == record.confirmed;
        (record.trial, record.attempts) = (Some(slot).filter(|_| !runs), 0);
        if !record.write(hardware) {
            return Err((Status::FirmwareFlash, u64::from(slot)));
        }
        Ok(image.version)
    }

    /// The page of firmware slots.
    pub(crate) fn slots(&self, hardware: &mut impl Hardware) -> FirmwareSlots {
        let record = Record::read(hardware);
        FirmwareSlots {
            running: self.running.slot,
            next: record.trial.unwrap_or(record.confirmed),
            confirmed: record.confirmed,
            previous: record.previous,
            outcome: record.outcome,
            versions: self.versions,
            floor: record.floor,
            image_bytes_max: SLOT_BYTES,
        }
    }

    /// Looks at what the slots hold.
    pub(crate) fn survey(&mut self, hardware: &mut impl Hardware) {
        self.versions = [crate::FIRMWARE_VERSION; FIRMWARE_SLOTS + 1];
        for (slot, version) in (0..).zip(&mut self.versions).skip(1) {
            *version = check_slot(hardware, slot, 0).map_or(0, |header| header.version);
        }
    }
}

impl Record {
    /// Makes sure that nothing starts from a slot that is about to be written. True when something changed.
    fn forget(&mut self, slot: u8, running: u8) -> bool {
        let before = *self;
        self.trial = self.trial.filter(|trial| *trial != slot);
        self.previous = self.previous.filter(|previous| *previous != slot);
        if self.confirmed == slot {
            // It was found damaged, so another one runs.
            self.confirmed = running;
        }
        if self.previous.is_none() && before.previous == Some(slot) && self.confirmed != FACTORY_SLOT {
            self.previous = Some(FACTORY_SLOT);
        }
        *self != before
    }
}

/// Erases what the image needs of the slot, writes the payload, and the header last.
fn write_slot(hardware: &mut impl Hardware, start: u32, header: &ImageHeader) {
    let bytes = header.image_bytes() as u32;
    for sector in 0..bytes.div_ceil(SECTOR_BYTES) {
        hardware.flash_erase(start + sector * SECTOR_BYTES);
    }
    let pages = bytes.div_ceil(PAGE_BYTES as u32);
    for index in (1..pages).chain([0]) {
        let at = index as usize * PAGE_BYTES;
        let mut page = [0xff; PAGE_BYTES];
        let image = hardware.image_buffer().get(at..).unwrap_or_default();
        for (byte, value) in page.iter_mut().zip(image.iter().take(bytes as usize - at)) {
            *byte = *value;
        }
        hardware.flash_program(start + at as u32, &page);
    }
}
