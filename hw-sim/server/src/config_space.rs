//! PCI configuration space: the header, power management, MSI-X, the PCIe capability with function-level reset, and
//! advanced error reporting.

use kiln_abi::register::{BAR_MEMORY_WINDOW, BAR_REGISTERS, BAR_REGISTERS_BYTES};
use kiln_sim::VECTORS;

use crate::{BAR_MEMORY_WINDOW_BYTES, BAR_MSIX, BAR_MSIX_BYTES};

/// Size of the configuration space of a PCIe function. \[bytes\]
pub(crate) const CONFIG_BYTES: usize = 4096;

/// Identifiers of the card: `docs/card-interface.md`, section 2. They are not registered with anybody.
const VENDOR: u16 = 0x4b4c;
const DEVICE: u16 = 0x0001;
/// Processing accelerator.
const CLASS: u32 = 0x12_00_00;

const COMMAND: usize = 0x04;
const COMMAND_MEMORY: u8 = 1 << 1;
const COMMAND_MASTER: u8 = 1 << 2;
const STATUS: usize = 0x06;
const STATUS_CAPABILITIES: u8 = 1 << 4;
const BARS: usize = 0x10;
const CAPABILITIES: usize = 0x34;

const PM: usize = 0x40;
const PM_CONTROL: usize = PM + 4;
/// D3hot to D0 keeps the card's state.
const PM_NO_SOFT_RESET: u8 = 1 << 3;
const MSIX: usize = 0x50;
/// Where the pending bits lie in the MSI-X BAR.
const MSIX_PENDING: u32 = 0x800;
const PCIE: usize = 0x60;
const PCIE_DEVICE_CONTROL: usize = PCIE + 0x08;
const PCIE_DEVICE_STATUS: usize = PCIE + 0x0a;
const PCIE_LINK_STATUS: usize = PCIE + 0x12;
/// Upper byte of Device Control: initiate a function-level reset.
const INITIATE_FLR: u8 = 1 << 7;
/// Link: 8 GT/s, 16 lanes.
const LINK: u16 = 3 | 16 << 4;

const AER: usize = 0x100;
const AER_UNCORRECTABLE: usize = AER + 0x04;
const AER_CORRECTABLE: usize = AER + 0x10;
const SERIAL: usize = 0x150;

/// What a write does beyond changing the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    FunctionReset,
}

/// The space, byte by byte: value, bits that the host may write, bits that a written one clears.
pub(crate) struct ConfigSpace {
    bytes: Vec<u8>,
    writable: Vec<u8>,
    cleared_by_one: Vec<u8>,
    serial: u64,
}

impl ConfigSpace {
    /// The space of a card with this serial number, as after power-up.
    pub(crate) fn new(serial: u64) -> ConfigSpace {
        let zeros = || vec![0; CONFIG_BYTES];
        let mut space = ConfigSpace { bytes: zeros(), writable: zeros(), cleared_by_one: zeros(), serial };
        space.fill();
        space
    }

    /// As after power-up.
    pub(crate) fn reset(&mut self) {
        *self = ConfigSpace::new(self.serial);
    }

    /// Whether the function answers accesses to its BARs.
    pub(crate) fn memory_enabled(&self) -> bool {
        self.bytes[COMMAND] & COMMAND_MEMORY != 0 && self.in_d0()
    }

    /// Whether it may start DMA.
    pub(crate) fn bus_master(&self) -> bool {
        self.bytes[COMMAND] & COMMAND_MASTER != 0 && self.in_d0()
    }

    /// Reads; all ones beyond the end.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset as usize..).zip(data) {
            *byte = self.bytes.get(at).copied().unwrap_or(0xff);
        }
    }

    /// Writes what may be written.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let mut effect = Effect::None;
        for (at, value) in (offset as usize..).zip(data).take_while(|(at, _)| *at < CONFIG_BYTES) {
            let (writable, cleared) = (self.writable[at], self.cleared_by_one[at]);
            let byte = &mut self.bytes[at];
            *byte = (*byte & !writable | value & writable) & !(value & cleared);
            if at == PCIE_DEVICE_CONTROL + 1 && value & INITIATE_FLR != 0 {
                effect = Effect::FunctionReset;
            }
        }
        effect
    }

    fn in_d0(&self) -> bool {
        self.bytes[PM_CONTROL] & 0b11 == 0
    }

    fn fill(&mut self) {
        self.put16(0x00, VENDOR);
        self.put16(0x02, DEVICE);
        self.put32(0x08, CLASS << 8 | 1);
        self.put16(0x2c, VENDOR);
        self.put16(0x2e, DEVICE);
        // Memory, master, parity and SERR enable, INTx disable.
        self.allow(COMMAND, &[0b0100_0110, 0b101]);
        self.bytes[STATUS] = STATUS_CAPABILITIES;
        self.cleared_by_one[STATUS + 1] = 0b1111_1001;
        self.allow(0x0c, &[0xff]);
        self.allow(0x3c, &[0xff]);
        self.fill_bar(BAR_REGISTERS, BAR_REGISTERS_BYTES, false);
        self.fill_bar(BAR_MSIX, BAR_MSIX_BYTES, false);
        self.fill_bar(BAR_MEMORY_WINDOW, BAR_MEMORY_WINDOW_BYTES, true);
        self.bytes[CAPABILITIES] = PM as u8;
        self.fill_power_management();
        self.fill_msix();
        self.fill_pcie();
        self.fill_extended();
    }

    /// A 64-bit memory BAR.
    fn fill_bar(&mut self, bar: u8, size: u64, prefetchable: bool) {
        let at = BARS + 4 * usize::from(bar);
        self.bytes[at] = 0b100 | u8::from(prefetchable) << 3;
        self.allow(at, &(!(size - 1)).to_le_bytes());
    }

    fn fill_power_management(&mut self) {
        self.put16(PM, 0x01 | (MSIX as u16) << 8);
        // Version 3; D1, D2 and PME are not supported.
        self.put16(PM + 2, 3);
        self.bytes[PM_CONTROL] = PM_NO_SOFT_RESET;
        self.allow(PM_CONTROL, &[0b11]);
    }

    fn fill_msix(&mut self) {
        self.put16(MSIX, 0x11 | (PCIE as u16) << 8);
        self.put16(MSIX + 2, u16::from(VECTORS) - 1);
        // Function mask and enable.
        self.allow(MSIX + 3, &[0b1100_0000]);
        self.put32(MSIX + 4, u32::from(BAR_MSIX));
        self.put32(MSIX + 8, MSIX_PENDING | u32::from(BAR_MSIX));
    }

    fn fill_pcie(&mut self) {
        self.put16(PCIE, 0x10);
        // Version 2, endpoint.
        self.put16(PCIE + 2, 0x0002);
        // Payloads to 256 bytes, extended tags, role-based errors, function-level reset.
        self.put32(PCIE + 4, 1 | 1 << 5 | 1 << 15 | 1 << 28);
        self.allow(PCIE_DEVICE_CONTROL, &[0xff, 0x7f]);
        self.bytes[PCIE_DEVICE_CONTROL] = 0x10;
        self.bytes[PCIE_DEVICE_CONTROL + 1] = 0x28;
        self.cleared_by_one[PCIE_DEVICE_STATUS] = 0x0f;
        self.put32(PCIE + 0x0c, u32::from(LINK));
        self.allow(PCIE + 0x10, &[0b1100_0011]);
        self.put16(PCIE_LINK_STATUS, LINK);
        // Completion timeout disable and ranges; link speeds to 8 GT/s.
        self.put32(PCIE + 0x24, 0x1f);
        self.allow(PCIE + 0x28, &[0x1f]);
        self.put32(PCIE + 0x2c, 0b1110);
        self.allow(PCIE + 0x30, &[0x0f]);
        self.bytes[PCIE + 0x30] = 3;
    }

    fn fill_extended(&mut self) {
        self.put32(AER, 0x0001 | 2 << 16 | (SERIAL as u32) << 20);
        let uncorrectable = 0x0007_f030_u32.to_le_bytes();
        self.cleared_by_one[AER_UNCORRECTABLE..AER_UNCORRECTABLE + 4].copy_from_slice(&uncorrectable);
        self.allow(AER + 0x08, &uncorrectable);
        self.allow(AER + 0x0c, &uncorrectable);
        self.put32(AER + 0x0c, 0x0006_2030);
        let correctable = 0x0000_31c1_u32.to_le_bytes();
        self.cleared_by_one[AER_CORRECTABLE..AER_CORRECTABLE + 4].copy_from_slice(&correctable);
        self.allow(AER + 0x14, &correctable);
        self.put32(AER + 0x14, 0x2000);
        self.put32(SERIAL, 0x0003 | 1 << 16);
        self.put32(SERIAL + 4, self.serial as u32);
        self.put32(SERIAL + 8, (self.serial >> 32) as u32);
    }

    fn allow(&mut self, at: usize, bits: &[u8]) {
        self.writable[at..at + bits.len()].copy_from_slice(bits);
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(space: &ConfigSpace, at: usize) -> u32 {
        let mut bytes = [0; 4];
        space.read(at as u64, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn write(space: &mut ConfigSpace, at: usize, value: u32) -> Effect {
        space.write(at as u64, &value.to_le_bytes())
    }

    #[test]
    fn capability_chains_end_and_name_what_is_there() {
        let space = ConfigSpace::new(0x1234_5678_9abc_def0);
        let mut at = word(&space, CAPABILITIES) as usize & 0xff;
        let mut ids = Vec::new();
        while at != 0 {
            ids.push(word(&space, at) & 0xff);
            at = (word(&space, at) >> 8 & 0xff) as usize;
        }
        assert_eq!(ids, [0x01, 0x11, 0x10]);
        let mut at = 0x100;
        let mut ids = Vec::new();
        while at != 0 {
            ids.push(word(&space, at) & 0xffff);
            at = (word(&space, at) >> 20) as usize;
        }
        assert_eq!(ids, [0x0001, 0x0003]);
        assert_eq!((word(&space, SERIAL + 4), word(&space, SERIAL + 8)), (0x9abc_def0, 0x1234_5678));
    }

    #[test]
    fn bars_tell_their_size_and_keep_their_kind() {
        let mut space = ConfigSpace::new(1);
        let sizes = [(0, BAR_REGISTERS_BYTES), (2, BAR_MSIX_BYTES), (4, BAR_MEMORY_WINDOW_BYTES)];
        for (bar, size) in sizes {
            let at = BARS + 4 * bar;
            let kind = word(&space, at) & 0xf;
            write(&mut space, at, u32::MAX);
            write(&mut space, at + 4, u32::MAX);
            let read = u64::from(word(&space, at)) | u64::from(word(&space, at + 4)) << 32;
            assert_eq!(!(read & !0xf) + 1, size);
            assert_eq!(read & 0xf, u64::from(kind));
            assert!(size.is_power_of_two());
        }
    }

    #[test]
    fn read_only_bytes_ignore_the_host_and_ones_clear_errors() {
        let mut space = ConfigSpace::new(1);
        let before = word(&space, 0);
        assert_eq!(write(&mut space, 0, 0xffff_ffff), Effect::None);
        assert_eq!(word(&space, 0), before);
        space.bytes[AER_CORRECTABLE] = 0x41;
        write(&mut space, AER_CORRECTABLE, 0x01);
        assert_eq!(word(&space, AER_CORRECTABLE), 0x40);
        let mut beyond = [0; 8];
        space.read(CONFIG_BYTES as u64 - 4, &mut beyond);
        assert_eq!(beyond[4..], [0xff; 4]);
        assert_eq!(space.write(u64::MAX, &[1, 2]), Effect::None);
    }

    #[test]
    fn function_resets_when_asked_and_forgets_what_was_written() {
        let mut space = ConfigSpace::new(1);
        write(&mut space, COMMAND, 0x6);
        assert!(space.memory_enabled() && space.bus_master());
        assert_eq!(write(&mut space, PCIE_DEVICE_CONTROL, 1 << 15), Effect::FunctionReset);
        assert_eq!(word(&space, PCIE_DEVICE_CONTROL) & 1 << 15, 0, "the bit reads zero");
        space.reset();
        assert!(!space.memory_enabled() && !space.bus_master());
    }

    #[test]
    fn function_asleep_does_not_answer() {
        let mut space = ConfigSpace::new(1);
        write(&mut space, COMMAND, 0x6);
        write(&mut space, PM_CONTROL, 0b11);
        assert!(!space.memory_enabled() && !space.bus_master());
        write(&mut space, PM_CONTROL, 0);
        assert!(space.memory_enabled() && space.bus_master());
    }
}
