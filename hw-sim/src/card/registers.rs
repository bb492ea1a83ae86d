//! BAR0 as the host sees it: registers with their access rules, doorbells, interrupt masks, the latched cycle counter.

use kiln_abi::register::{ALL_ONES, BAR_REGISTERS_BYTES, DOORBELL_PAGE, Doorbell, Register};

/// Interrupt vectors of the card; the mask register has a bit for each.
pub const VECTORS: u8 = 17;

/// The words of BAR0.
#[derive(Debug)]
pub struct Registers {
    words: Vec<u32>,
    masked: u32,
    pending: u32,
    latched_high: u32,
}

impl Registers {
    /// All zero, as after power-up.
    pub fn new() -> Registers {
        let words = vec![0; (BAR_REGISTERS_BYTES / 4) as usize];
        Registers { words, masked: 0, pending: 0, latched_high: 0 }
    }

    /// A read by the host. Only aligned words within the BAR answer.
    pub fn host_read(&mut self, offset: u64, cycle: u64) -> u32 {
        let Some(word) = self.words.get((offset / 4) as usize).filter(|_| offset.is_multiple_of(4)) else {
            return ALL_ONES;
        };
        match register(offset) {
            Some(Register::Intms | Register::Intmc) => self.masked,
            Some(Register::Reset) => 0,
            Some(Register::Cycles) => {
                self.latched_high = (cycle >> 32) as u32;
                cycle as u32
            }
            Some(Register::CyclesHigh) => self.latched_high,
            _ => *word,
        }
    }

    /// A write by the host: what may not be written, is not. Returns the interrupts that this unmasks and that waited.
    pub fn host_write(&mut self, offset: u64, value: u32) -> Vec<u16> {
        match register(offset) {
            Some(Register::Intms) => self.masked |= value,
            Some(Register::Intmc) => {
                let raised = self.pending & value;
                self.masked &= !value;
                self.pending &= !value;
                return (0..u16::from(VECTORS)).filter(|vector| raised >> vector & 1 == 1).collect();
            }
            Some(register) if register.writable() => self.set(offset, value),
            None if Doorbell::from_offset(offset).is_some() => self.set(offset, value),
            _ => {}
        }
        Vec::new()
    }

    /// A read by the control program.
    pub fn get(&self, offset: u64) -> u32 {
        self.words.get((offset / 4) as usize).copied().unwrap_or(0)
    }

    /// A write by the control program.
    pub fn set(&mut self, offset: u64, value: u32) {
        if let Some(word) = self.words.get_mut((offset / 4) as usize) {
            *word = value;
        }
    }

    /// Whether an interrupt may be raised now; a masked one waits.
    pub fn may_raise(&mut self, vector: u16) -> bool {
        let bit = 1u32.checked_shl(u32::from(vector)).unwrap_or(0);
        let masked = self.masked & bit != 0;
        if masked {
            self.pending |= bit;
        }
        !masked
    }
}

fn register(offset: u64) -> Option<Register> {
    u32::try_from(offset).ok().filter(|_| offset < DOORBELL_PAGE).and_then(Register::from_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_abi::register::FEATURE_PAGE;

    #[test]
    fn read_only_registers_ignore_the_host() {
        let mut registers = Registers::new();
        registers.set(Register::Magic.offset(), 7);
        for offset in [Register::Magic.offset(), FEATURE_PAGE, 0x84, 0x3] {
            registers.host_write(offset, 9);
        }
        assert_eq!(registers.host_read(Register::Magic.offset(), 0), 7);
        assert_eq!(registers.host_read(FEATURE_PAGE, 0), 0);
        registers.host_write(Register::Cc.offset(), 1);
        assert_eq!(registers.get(Register::Cc.offset()), 1);
    }

    #[test]
    fn nothing_answers_outside_the_bar_or_between_words() {
        let mut registers = Registers::new();
        for offset in [BAR_REGISTERS_BYTES, u64::MAX, 2] {
            assert_eq!(registers.host_read(offset, 0), ALL_ONES);
            assert!(registers.host_write(offset, 1).is_empty());
        }
    }

    #[test]
    fn the_cycle_counter_is_read_as_one() {
        let mut registers = Registers::new();
        assert_eq!(registers.host_read(Register::Cycles.offset(), 0x1_ffff_ffff), u32::MAX);
        assert_eq!(registers.host_read(Register::CyclesHigh.offset(), 0x2_0000_0000), 1);
    }

    #[test]
    fn the_reset_key_reads_zero_but_reaches_the_control_program() {
        let mut registers = Registers::new();
        registers.host_write(Register::Reset.offset(), 5);
        assert_eq!(
            (registers.host_read(Register::Reset.offset(), 0), registers.get(Register::Reset.offset())),
            (0, 5)
        );
    }

    #[test]
    fn masked_interrupts_wait_until_they_are_unmasked() {
        let mut registers = Registers::new();
        registers.host_write(Register::Intms.offset(), 0b110);
        assert!(registers.may_raise(0) && !registers.may_raise(1) && !registers.may_raise(1));
        assert_eq!(registers.host_read(Register::Intmc.offset(), 0), 0b110);
        assert_eq!(registers.host_write(Register::Intmc.offset(), 0b110), [1]);
        assert!(registers.may_raise(1) && registers.may_raise(2));
    }
}
