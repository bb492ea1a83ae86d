//! Where an SRS comes from.

use std::fmt;

/// Bytes of the text that says so in a file.
const ORIGIN_BYTES: usize = 32;
const LOCAL: &[u8; ORIGIN_BYTES] = b"INSECURE: local, for tests only\n";
const PTAU: &str = "ptau of power ";
const CEREMONY: &str = ", ceremony ";

/// Where an SRS comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrsOrigin {
    /// Made on one machine, whose owner may know τ: INSECURE.
    Local,
    /// The first powers of τ of a ceremony file.
    Ptau {
        /// The file holds 2^(power + 1) − 1 powers of τ.
        power: u32,
        /// The ceremony made 2^(ceremony power + 1) − 1.
        ceremony_power: u32,
    },
}

impl SrsOrigin {
    /// The text in a file, filled up with spaces before the newline that ends it.
    pub(super) fn to_bytes(self) -> [u8; ORIGIN_BYTES] {
        let mut bytes = *LOCAL;
        if let Self::Ptau { power, ceremony_power } = self {
            let text = format!("{PTAU}{power}{CEREMONY}{ceremony_power}");
            let width = ORIGIN_BYTES - 1;
            for (byte, character) in bytes.iter_mut().zip(format!("{text:<width$}\n").bytes()) {
                *byte = character;
            }
        }
        bytes
    }

    /// The origin with this text; none if there is none.
    pub(super) fn from_bytes(bytes: &[u8; ORIGIN_BYTES]) -> Option<Self> {
        if bytes == LOCAL {
            return Some(Self::Local);
        }
        let text = std::str::from_utf8(bytes).ok()?.strip_prefix(PTAU)?.trim_end();
        let (power, ceremony_power) = text.split_once(CEREMONY)?;
        let origin = Self::Ptau { power: power.parse().ok()?, ceremony_power: ceremony_power.parse().ok()? };
        // One text for each origin: no other spelling of the numbers, no other space.
        (origin.to_bytes() == *bytes).then_some(origin)
    }
}

impl fmt::Display for SrsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => write!(f, "made on one machine, INSECURE"),
            Self::Ptau { power, ceremony_power } => {
                write!(f, "a ptau file of power {power}, of a ceremony of power {ceremony_power}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_survive_the_round_trip_and_have_one_text() {
        for (power, ceremony_power) in [(1, 1), (9, 10), (28, 28)] {
            let origin = SrsOrigin::Ptau { power, ceremony_power };
            assert_eq!(SrsOrigin::from_bytes(&origin.to_bytes()), Some(origin));
        }
        assert_eq!(SrsOrigin::from_bytes(LOCAL), Some(SrsOrigin::Local));
        assert_eq!(
            &SrsOrigin::Ptau { power: 9, ceremony_power: 28 }.to_bytes(),
            b"ptau of power 9, ceremony 28   \n"
        );
        for text in [
            b"ptau of power 09, ceremony 28  \n",
            b"ptau of power +9, ceremony 28  \n",
            b"ptau of power 9, ceremony 28   \t",
            b"ptau of power 9, ceremony       \n".first_chunk().unwrap(),
            b"ptau of power 99999999999, ceremony 28\n".first_chunk().unwrap(),
            b"insecure: local, for tests only\n",
            &[b' '; 32],
            &[0xff; 32],
        ] {
            assert_eq!(SrsOrigin::from_bytes(text), None, "{text:?}");
        }
    }
}
