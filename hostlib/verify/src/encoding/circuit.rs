//! The encoding of a circuit: what a verifying key's digest binds.
//!
//! [`Circuit::regions`] only serves messages and is left out; a circuit that is read back has none.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Canonical, DecodeError, Reader};
use crate::circuit::{AdviceColumn, Cell, Circuit, CommittedGroup, Gate, Lookup, Table};
use crate::expression::{Challenge, Column, Expression, Monomial};
use crate::formula::{InstanceCell, Run};

/// A struct is its fields in order.
macro_rules! canonical_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl Canonical for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$field.encode(out);)*
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Canonical::decode(reader)?),* })
            }
        }
    };
}

canonical_struct!(AdviceColumn { name, phase, linear });
canonical_struct!(CommittedGroup { name, columns });
canonical_struct!(Gate { name, expression });
canonical_struct!(Lookup { name, inputs, table });
canonical_struct!(Table { name, segments });
canonical_struct!(Cell { column, row });
canonical_struct!(Run { coefficient, public, len, first, step });
canonical_struct!(InstanceCell { column, row, runs });

impl Canonical for Circuit {
    fn encode(&self, out: &mut Vec<u8>) {
        self.k.encode(out);
        self.degree.encode(out);
        self.fixed.encode(out);
        self.instance.encode(out);
        self.committed.encode(out);
        self.advice.encode(out);
        self.challenges.encode(out);
        self.gates.encode(out);
        self.lookups.encode(out);
        self.tables.encode(out);
        self.copy_columns.encode(out);
        self.copies.encode(out);
        self.instance_cells.encode(out);
        self.public_inputs.encode(out);
        self.meaning.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            k: Canonical::decode(reader)?,
            degree: Canonical::decode(reader)?,
            fixed: Canonical::decode(reader)?,
            instance: Canonical::decode(reader)?,
            committed: Canonical::decode(reader)?,
            advice: Canonical::decode(reader)?,
            challenges: Canonical::decode(reader)?,
            gates: Canonical::decode(reader)?,
            lookups: Canonical::decode(reader)?,
            tables: Canonical::decode(reader)?,
            copy_columns: Canonical::decode(reader)?,
            copies: Canonical::decode(reader)?,
            instance_cells: Canonical::decode(reader)?,
            public_inputs: Canonical::decode(reader)?,
            meaning: Canonical::decode(reader)?,
            regions: Vec::new(),
        })
    }
}

impl Canonical for Column {
    fn encode(&self, out: &mut Vec<u8>) {
        let (tag, index) = match self {
            Self::Fixed(index) => (0u8, index),
            Self::Instance(index) => (1, index),
            Self::Committed(index) => (2, index),
            Self::Advice(index) => (3, index),
        };
        tag.encode(out);
        index.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = u8::decode(reader)?;
        let index = u32::decode(reader)?;
        match tag {
            0 => Ok(Self::Fixed(index)),
            1 => Ok(Self::Instance(index)),
            2 => Ok(Self::Committed(index)),
            3 => Ok(Self::Advice(index)),
            got => Err(DecodeError::UnknownTag { what: "column", got }),
        }
    }
}

impl Canonical for Challenge {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::decode(reader).map(Self)
    }
}

impl Canonical for Monomial {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::decode(reader).map(Self)
    }
}

impl Canonical for Expression {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Constant(value) => {
                0u8.encode(out);
                value.encode(out);
            }
            Self::Challenge(monomial) => {
                1u8.encode(out);
                monomial.encode(out);
            }
            Self::Query(column, rotation) => {
                2u8.encode(out);
                column.encode(out);
                rotation.encode(out);
            }
            Self::Sum(parts) => {
                3u8.encode(out);
                parts.encode(out);
            }
            Self::Product(parts) => {
                4u8.encode(out);
                parts.encode(out);
            }
            Self::Negated(part) => {
                5u8.encode(out);
                part.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::decode(reader)? {
            0 => Canonical::decode(reader).map(Self::Constant),
            1 => Canonical::decode(reader).map(Self::Challenge),
            2 => Ok(Self::Query(Canonical::decode(reader)?, Canonical::decode(reader)?)),
            3 => reader.nested(Vec::decode).map(Self::Sum),
            4 => reader.nested(Vec::decode).map(Self::Product),
            5 => reader.nested(Self::decode).map(|part| Self::Negated(Box::new(part))),
            got => Err(DecodeError::UnknownTag { what: "expression", got }),
        }
    }
}
