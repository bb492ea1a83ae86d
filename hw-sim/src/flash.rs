//! The card's flash: what it keeps without power, what a change costs, and how power fails in the middle of one.
//!
//! Bits are set a sector at a time and cleared a page at a time, as in NOR flash. A change that power interrupts is done
//! for its first bytes and not for the others.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use kiln_firmware::flash::{FLASH_BYTES, PAGE_BYTES, SECTOR_BYTES};
use thiserror::Error;

use crate::time::Picoseconds;

/// Erasing a sector. An assumption, typical of serial NOR flash. \[ps\]
pub const ERASE_TIME: Picoseconds = 50_000_000_000;
/// Programming a page, likewise. \[ps\]
pub const PROGRAM_TIME: Picoseconds = 120_000_000;

/// Why a file cannot be a card's flash.
#[derive(Debug, Error)]
pub enum FlashError {
    /// It cannot be opened, read or written.
    #[error("the flash file {path} cannot be used; check the path and its permissions")]
    File {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another card has it.
    #[error("the flash file {path} belongs to a card that is being served; a flash is in one card")]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// It is not as long as a flash.
    #[error("the flash file {path} must be {expected} bytes long, got {got}; remove it for an empty flash")]
    Length {
        /// Where.
        path: PathBuf,
        /// What a flash has.
        expected: u64,
        /// What the file has.
        got: u64,
    },
}

/// When power fails: at which change from now on, counted from 0, and after which part of it, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PowerCut {
    pub(crate) step: u64,
    pub(crate) part: u16,
}

impl PowerCut {
    /// In the middle of the change with this number.
    pub(crate) fn at(step: u64) -> PowerCut {
        PowerCut { step, part: 500 }
    }
}

/// The flash of one card.
#[derive(Debug)]
pub struct FlashMemory {
    bytes: Vec<u8>,
    file: Option<File>,
    cut: Option<PowerCut>,
    powered: bool,
}

impl Default for FlashMemory {
    fn default() -> FlashMemory {
        FlashMemory { bytes: vec![0xff; FLASH_BYTES as usize], file: None, cut: None, powered: true }
    }
}

impl FlashMemory {
    /// The flash that lies in a file, which follows every change. A file that is not there becomes an empty flash.
    pub fn open(path: &Path) -> Result<FlashMemory, FlashError> {
        let failed = |source| FlashError::File { path: path.to_owned(), source };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = options.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FlashError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut flash = FlashMemory::default();
        match file.metadata().map_err(failed)?.len() {
            0 => file.write_all_at(&flash.bytes, 0).map_err(failed)?,
            got if got == u64::from(FLASH_BYTES) => {
                file.read_exact_at(&mut flash.bytes, 0).map_err(failed)?;
            }
            got => {
                let expected = u64::from(FLASH_BYTES);
                return Err(FlashError::Length { path: path.to_owned(), expected, got });
            }
        }
        Ok(FlashMemory { file: Some(file), ..flash })
    }

    /// Reads; beyond the end there are ones.
    pub(crate) fn read(&self, address: u32, buffer: &mut [u8]) {
        buffer.fill(0xff);
        let here = self.bytes.get(address as usize..).unwrap_or_default();
        buffer.iter_mut().zip(here).for_each(|(byte, value)| *byte = *value);
    }

    /// Sets every bit of a sector.
    pub(crate) fn erase(&mut self, sector: u32) {
        self.change(sector, SECTOR_BYTES as usize, |_, byte| *byte = 0xff);
    }

    /// Clears the bits of a page that are clear in `data`.
    pub(crate) fn program(&mut self, page: u32, data: &[u8; PAGE_BYTES]) {
        self.change(page, PAGE_BYTES, |at, byte| *byte &= data[at]);
    }

    /// Whether power has not failed.
    pub(crate) fn is_powered(&self) -> bool {
        self.powered
    }

    /// Power comes back.
    pub(crate) fn power_up(&mut self) {
        self.powered = true;
    }

    /// Lets power fail.
    pub(crate) fn cut_power(&mut self, cut: PowerCut) {
        self.cut = Some(cut);
    }

    fn change(&mut self, address: u32, length: usize, change: impl Fn(usize, &mut u8)) {
        if !self.powered {
            return;
        }
        let mut done = length;
        if let Some(cut) = &mut self.cut {
            match cut.step.checked_sub(1) {
                Some(left) => cut.step = left,
                None => {
                    done = length * usize::from(cut.part) / 1000;
                    (self.cut, self.powered) = (None, false);
                }
            }
        }
        let Some(area) = self.bytes.get_mut(address as usize..).and_then(|rest| rest.get_mut(..done)) else {
            return;
        };
        area.iter_mut().enumerate().for_each(|(at, byte)| change(at, byte));
        if let Some(file) = &self.file {
            // A disk that is full looks to the card like flash that does not keep what is written.
            let _ = file.write_all_at(area, u64::from(address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(flash: &FlashMemory, address: u32) -> u8 {
        let mut byte = [0];
        flash.read(address, &mut byte);
        byte[0]
    }

    #[test]
    fn bits_are_cleared_by_page_and_set_by_sector() {
        let mut flash = FlashMemory::default();
        flash.program(4096, &[0xf0; PAGE_BYTES]);
        flash.program(4096, &[0x3c; PAGE_BYTES]);
        assert_eq!([4095, 4096, 4351, 4352].map(|at| byte(&flash, at)), [0xff, 0x30, 0x30, 0xff]);
        flash.erase(4096);
        assert_eq!(byte(&flash, 4096), 0xff);
        // Outside there is nothing.
        flash.program(FLASH_BYTES, &[0; PAGE_BYTES]);
        assert_eq!(byte(&flash, u32::MAX), 0xff);
    }

    #[test]
    fn power_that_fails_leaves_a_change_half_done_and_the_next_undone() {
        let mut flash = FlashMemory::default();
        flash.cut_power(PowerCut { step: 1, part: 500 });
        for page in 0..3 {
            flash.program(page * PAGE_BYTES as u32, &[0; PAGE_BYTES]);
            assert_eq!(flash.is_powered(), page == 0);
        }
        assert_eq!([0, 255, 256, 383, 384, 512].map(|at| byte(&flash, at)), [0, 0, 0, 0, 0xff, 0xff]);
        flash.power_up();
        flash.program(512, &[0; PAGE_BYTES]);
        assert_eq!(byte(&flash, 512), 0);
    }

    #[test]
    fn file_keeps_the_flash_for_one_card_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flash");
        let mut flash = FlashMemory::open(&path).unwrap();
        flash.program(256, &[7; PAGE_BYTES]);
        assert!(matches!(FlashMemory::open(&path), Err(FlashError::InUse { .. })));
        drop(flash);
        assert_eq!(byte(&FlashMemory::open(&path).unwrap(), 300), 7);
        std::fs::write(&path, [0; 100]).unwrap();
        assert!(matches!(FlashMemory::open(&path), Err(FlashError::Length { got: 100, .. })));
        let nowhere = FlashMemory::open(&folder.path().join("no/such")).unwrap_err();
        assert!(nowhere.to_string().contains("no/such"), "{nowhere}");
    }
}
