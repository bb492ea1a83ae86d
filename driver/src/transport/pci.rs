//! The little that the driver does in PCI configuration space.

use std::fmt;

use kiln_abi::register::ALL_ONES;

use super::Transport;

/// Command and status register.
const COMMAND: u16 = 0x04;
/// Answers memory accesses; may start DMA.
const COMMAND_MEMORY_AND_MASTER: u32 = 1 << 1 | 1 << 2;
/// Offset of the first capability.
const CAPABILITIES: u16 = 0x34;
/// The PCI Express capability.
const PCI_EXPRESS: u32 = 0x10;
/// More capabilities than fit.
const CAPABILITIES_MAX: usize = 48;

/// Lets the card answer and do DMA, as after every reset.
pub(crate) fn enable(transport: &dyn Transport) {
    let command = transport.config_read32(COMMAND) & 0xffff;
    // The upper half is the status register, where zeros change nothing.
    transport.config_write32(COMMAND, command | COMMAND_MEMORY_AND_MASTER);
}

/// A PCI Express link: what it runs at, and what the card could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    generation: u32,
    lanes: u32,
    generation_max: u32,
    lanes_max: u32,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Link { generation, lanes, generation_max, lanes_max } = self;
        write!(f, "PCIe generation {generation}, {lanes} lanes")?;
        if (generation, lanes) != (generation_max, lanes_max) {
            write!(f, " (degraded: the card has generation {generation_max}, {lanes_max} lanes)")?;
        }
        Ok(())
    }
}

/// The card's link, where it has one.
pub(crate) fn link(transport: &dyn Transport) -> Option<Link> {
    if transport.config_read32(0) == ALL_ONES {
        return None;
    }
    let mut at = (transport.config_read32(CAPABILITIES) & 0xfc) as u16;
    for _ in 0..CAPABILITIES_MAX {
        if at < 0x40 {
            return None;
        }
        let header = transport.config_read32(at);
        if header & 0xff == PCI_EXPRESS {
            let (most, now) = (transport.config_read32(at + 0x0c), transport.config_read32(at + 0x10) >> 16);
            let (speed, width) = (|word: u32| word & 0xf, |word: u32| word >> 4 & 0x3f);
            let link = Link {
                generation: speed(now),
                lanes: width(now),
                generation_max: speed(most),
                lanes_max: width(most),
            };
            // A function that is integrated into the root complex, as in a guest, has none.
            return (link.lanes_max > 0).then_some(link);
        }
        at = (header >> 8 & 0xfc) as u16;
    }
    None
}
