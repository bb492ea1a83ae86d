//! How a command ended.

use crate::codes::codes;

codes! {
    /// How a command ended. The completion's result field says where, as stated at each variant.
    pub enum Status: u16 {
        /// Done; everything that it wrote is visible.
        Success = 0x00,
        /// No command has this opcode. Result: the opcode.
        InvalidOpcode = 0x01,
        /// A field of the entry or of its parameter block is malformed. Result: see [`crate::ParseError::detail`].
        InvalidField = 0x02,
        /// A queue id that is unknown, in use, zero, or beyond the number of queues. Result: the id.
        InvalidQueue = 0x03,
        /// A queue size, queue address or interrupt vector that cannot be. Result: the value.
        InvalidQueueShape = 0x04,
        /// A card address range that ends beyond the card's memory. Result: the address.
        CardAddressRange = 0x05,
        /// A card address that is not a multiple of 32. Result: the address.
        CardAddressAlignment = 0x06,
        /// A destination that overlaps a source or another destination. Result: the destination's address.
        Overlap = 0x07,
        /// Host memory could not be read or written. Result: the host address.
        HostMemoryFault = 0x08,
        /// The lengths in a scatter list do not add up to the length of the copy. Result: the sum.
        ScatterList = 0x09,
        /// A base is neither on the curve nor infinity, or has a coordinate not below the modulus. Result: its index.
        PointNotOnCurve = 0x0a,
        /// A vector program is malformed. Result: see [`crate::ParseError::detail`].
        InvalidProgram = 0x0b,
        /// The card has no such engine, or the size is beyond it. Result: the size.
        Unsupported = 0x0c,
        /// Ended by an abort command or by deleting its queue.
        Aborted = 0x0d,
        /// The engine did not finish within the watchdog's limit and was reset. Result: the limit in cycles.
        EngineTimeout = 0x0e,
        /// The engine found a fault in itself. Result: the engine's own code.
        EngineFault = 0x0f,
        /// Card memory had an error that could not be corrected. Result: the card address.
        MemoryError = 0x10,
        /// The firmware that is running does not have this command.
        NotSupportedByFirmware = 0x11,
        /// More asynchronous event requests than the card holds.
        TooManyEventRequests = 0x12,
        /// A scalar of a multi-scalar multiplication exceeds the promised bound. Result: its index.
        ScalarBound = 0x13,
        /// The self-test failed. Result: the number of the first test that did.
        SelfTestFailed = 0x14,
        /// A piece of a firmware image that does not continue what was downloaded. Result: the offset that does.
        FirmwareOffset = 0x15,
        /// What was downloaded is no firmware image. Result: see [`crate::ParseError::detail`].
        FirmwareMalformed = 0x16,
        /// A firmware image that is shorter or longer than its header says. Result: the bytes that were downloaded.
        FirmwareLength = 0x17,
        /// A firmware image that fits no slot. Result: the bytes of the largest that does.
        FirmwareTooLarge = 0x18,
        /// A firmware image whose signature is not by the key that the card trusts.
        FirmwareSignature = 0x19,
        /// A firmware image for another model.
        FirmwareModel = 0x1a,
        /// A firmware image of a lower version than the card's floor. Result: the floor.
        FirmwareVersionFloor = 0x1b,
        /// A firmware image whose payload is not the one that was signed.
        FirmwareDigest = 0x1c,
        /// A firmware slot that does not exist, or holds no sound image. Result: the slot.
        FirmwareSlotInvalid = 0x1d,
        /// The firmware slot holds the image that runs. Result: the slot.
        FirmwareSlotInUse = 0x1e,
        /// The card's flash does not keep what is written to it. Result: the slot.
        FirmwareFlash = 0x1f,
    }
}

impl Status {
    /// What an operator can do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Status::Success => "nothing to do",
            Status::InvalidOpcode | Status::NotSupportedByFirmware => {
                "update the card's firmware, or use a driver of the same version"
            }
            Status::InvalidField
            | Status::InvalidQueue
            | Status::InvalidQueueShape
            | Status::CardAddressRange
            | Status::CardAddressAlignment
            | Status::Overlap
            | Status::ScatterList
            | Status::InvalidProgram
            | Status::TooManyEventRequests => "the command is malformed: report this as a bug of the driver",
            Status::HostMemoryFault => {
                "the card touched host memory that is not mapped for it: reset the card"
            }
            Status::PointNotOnCurve => "the bases are damaged: fetch the structured reference string again",
            Status::Unsupported => "run the kernel on another device",
            Status::Aborted => "submit the command again if it is still wanted",
            Status::EngineTimeout | Status::EngineFault | Status::SelfTestFailed => {
                "reset the card; if it happens again, take it out of service"
            }
            Status::MemoryError => "take the card out of service and have its memory tested",
            Status::FirmwareOffset => "download the image again from its start",
            Status::FirmwareMalformed | Status::FirmwareLength | Status::FirmwareDigest => {
                "the image is damaged: fetch it again"
            }
            Status::FirmwareTooLarge | Status::FirmwareModel => "fetch the image for this card's model",
            Status::FirmwareSignature => "the card does not trust this image: fetch it from the card's maker",
            Status::FirmwareVersionFloor => "the card takes no older firmware: use a newer image",
            Status::FirmwareSlotInvalid => "choose a slot that holds an image, or install one there first",
            Status::FirmwareSlotInUse => "install into the other slot",
            Status::FirmwareFlash => "take the card out of service: its flash wears out",
            Status::ScalarBound => "the caller promised smaller scalars: report this as a bug of the prover",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_both_ways() {
        for status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(*status));
        }
        assert_eq!(Status::from_code(0x7fff), None);
    }
}
