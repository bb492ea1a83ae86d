//! Messages of the vfio-user protocol (QEMU's `docs/interop/vfio-user.rst`, version 0): little-endian, a header of 16
//! bytes, then a payload. Only what a client of a PCI device needs.

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 16;
/// Version of the protocol: major 0, minor 0.
pub(super) const VERSION: [u8; 4] = [0; 4];

const FLAG_REPLY: u32 = 1;
const FLAG_TYPE_MASK: u32 = 0xf;
const FLAG_NO_REPLY: u32 = 1 << 4;
const FLAG_ERROR: u32 = 1 << 5;

/// Commands of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Command {
    Version = 1,
    DmaMap = 2,
    DmaUnmap = 3,
    DeviceInfo = 4,
    IrqInfo = 7,
    SetIrqs = 8,
    RegionRead = 9,
    RegionWrite = 10,
    Reset = 13,
}

/// Whether a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Wanted,
    /// A posted write.
    None,
}

/// The header of a command.
pub(super) fn header(id: u16, command: Command, payload_bytes: usize, answer: Answer) -> [u8; HEADER_BYTES] {
    let flags = if answer == Answer::None { FLAG_NO_REPLY } else { 0 };
    let size = (HEADER_BYTES + payload_bytes) as u32;
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..2].copy_from_slice(&id.to_le_bytes());
    bytes[2..4].copy_from_slice(&(command as u16).to_le_bytes());
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    bytes[8..12].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// The header of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyHeader {
    /// Bytes that follow the header.
    pub(super) payload_bytes: usize,
    /// The server's error number, when it refused the command; servers send 0 too.
    pub(super) error: Option<u32>,
}

/// Checks the header of what should be the reply to message `id`, at most `payload_max` bytes long.
pub(super) fn parse_reply(
    bytes: &[u8; HEADER_BYTES],
    id: u16,
    command: Command,
    payload_max: usize,
) -> Result<ReplyHeader, String> {
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (got_id, got_command, size, flags) = (short(0), short(2), word(4), word(8));
    if flags & FLAG_TYPE_MASK != FLAG_REPLY {
        return Err(format!("expected a reply, got a command ({got_command})"));
    }
    if (got_id, got_command) != (id, command as u16) {
        return Err(format!(
            "expected the reply to message {id} ({command:?}), got message {got_id} of command {got_command}"
        ));
    }
    let most = HEADER_BYTES + payload_max;
    let size = size as usize;
    if size < HEADER_BYTES || size > most {
        return Err(format!("the reply to {command:?} has {size} bytes, expected {HEADER_BYTES} to {most}"));
    }
    let error = (flags & FLAG_ERROR != 0).then(|| word(12));
    Ok(ReplyHeader { payload_bytes: size - HEADER_BYTES, error })
}

/// Concatenates words and double words of a payload.
#[derive(Default)]
pub(super) struct Payload(pub(super) Vec<u8>);

impl Payload {
    pub(super) fn u32(mut self, value: u32) -> Payload {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Payload {
        self.0.extend(value.to_le_bytes());
        self
    }
}

/// The word at a position of a payload, if it is that long.
pub(super) fn word(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*payload.get(at..)?.first_chunk()?))
}

/// The double word at a position of a payload, if it is that long.
pub(super) fn double_word(payload: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*payload.get(at..)?.first_chunk()?))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(id: u16, command: u16, size: u32, flags: u32, error: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = header(id, Command::Reset, 0, Answer::Wanted);
        bytes[2..4].copy_from_slice(&command.to_le_bytes());
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes[8..12].copy_from_slice(&flags.to_le_bytes());
        bytes[12..16].copy_from_slice(&error.to_le_bytes());
        bytes
    }

    #[test]
    fn only_the_reply_that_is_waited_for_passes() {
        let check = |bytes| parse_reply(&bytes, 7, Command::RegionRead, 20);
        assert_eq!(check(reply(7, 9, 36, 1, 0)), Ok(ReplyHeader { payload_bytes: 20, error: None }));
        assert_eq!(check(reply(7, 9, 16, 0x21, 22)), Ok(ReplyHeader { payload_bytes: 0, error: Some(22) }));
        let wrong =
            [(8, 9, 36, 1), (7, 10, 36, 1), (7, 9, 37, 1), (7, 9, 15, 1), (7, 9, u32::MAX, 1), (7, 9, 36, 0)];
        for (id, command, size, flags) in wrong {
            assert!(check(reply(id, command, size, flags, 0)).is_err(), "{id} {command} {size} {flags}");
        }
    }

    proptest! {
        #[test]
        fn no_header_asks_for_more_than_was_allowed(bytes in any::<[u8; HEADER_BYTES]>(), most in 0usize..100) {
            let id = u16::from_le_bytes([bytes[0], bytes[1]]);
            if let Ok(header) = parse_reply(&bytes, id, Command::Version, most) {
                prop_assert!(header.payload_bytes <= most);
            }
        }
    }
}
