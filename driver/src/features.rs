//! The card's feature chain.

use kiln_abi::ParseError;
use kiln_abi::feature::{BLOCKS_MAX, FeatureBlock, FeatureHead, FeatureKind, HEAD_WORDS, PAYLOAD_WORDS_MAX};
use kiln_abi::register::{BAR_REGISTERS, FEATURE_PAGE, Register};

use crate::error::CardError;
use crate::transport::Transport;
use crate::wait::read;

/// What the card says about itself, block by block, in the chain's order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Features {
    /// The blocks that the driver knows.
    pub blocks: Vec<FeatureBlock>,
    /// Type and version of the others.
    pub unknown: Vec<(u16, u16)>,
}

impl Features {
    /// The first block of this type.
    pub fn get(&self, kind: FeatureKind) -> Option<&FeatureBlock> {
        self.blocks.iter().find(|block| block.kind() == kind)
    }

    /// Walks the chain. It must run upwards within BAR0, so it has an end.
    pub(crate) fn read(transport: &dyn Transport) -> Result<Features, CardError> {
        let mut features = Features::default();
        let mut offset = read(transport, Register::FeatureChain);
        if offset != 0 && (u64::from(offset) < FEATURE_PAGE || !offset.is_multiple_of(4)) {
            let (field, got) = ("first feature block", u64::from(offset));
            let refused = ParseError::OutOfRange { field, got, min: FEATURE_PAGE, max: u64::from(u32::MAX) };
            return Err(CardError::Description(refused));
        }
        for _ in 0..BLOCKS_MAX {
            if offset == 0 {
                return Ok(features);
            }
            let word = |index: usize| transport.read32(BAR_REGISTERS, u64::from(offset) + 4 * index as u64);
            let words: [u32; HEAD_WORDS] = std::array::from_fn(word);
            let head = FeatureHead::parse(words, offset).map_err(CardError::Description)?;
            match FeatureKind::from_code(head.kind) {
                Some(kind) if head.version == 1 => {
                    let count = (head.length as usize / 4 - HEAD_WORDS).min(PAYLOAD_WORDS_MAX);
                    let payload: Vec<u32> = (HEAD_WORDS..HEAD_WORDS + count).map(word).collect();
                    features
                        .blocks
                        .push(FeatureBlock::parse(kind, &payload).map_err(CardError::Description)?);
                }
                _ => features.unknown.push((head.kind, head.version)),
            }
            offset = head.next;
        }
        let (what, expected) = ("feature chain", BLOCKS_MAX as u64);
        Err(CardError::Description(ParseError::Length { what, expected, got: expected + 1 }))
    }
}
