//! What a circuit is: columns, phases, gates, lookups, copies. Data only; nothing here computes.
//!
//! A circuit has no witness and no weights in it. It is what the verifying key commits to.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::expression::{Challenge, Column, Expression};
use crate::formula::InstanceCell;

/// A column of the prover's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdviceColumn {
    /// For messages.
    pub name: String,
    /// The phase that makes it: 0, or later, when the challenges of all earlier phases are known.
    pub phase: u8,
    /// Promise that no constraint multiplies this column with another linear, helper or committed column and that
    /// rotation 0 is only used linearly; its evaluation at ζ is then folded into the linearisation and never sent.
    pub linear: bool,
}

/// A group of columns committed together ahead of the proof, for example a model's weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedGroup {
    /// What it is: `"model"`, `"input"`.
    pub name: String,
    /// How many columns; `Column::Committed` counts through the groups in order.
    pub columns: u32,
}

/// A constraint: the expression is zero on every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// For messages.
    pub name: String,
    /// Zero on every row.
    pub expression: Expression,
}

/// On every row, the tuple `inputs` is a row of table `table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// For messages.
    pub name: String,
    /// Each of degree at most 1.
    pub inputs: Vec<Expression>,
    /// Index into [`Circuit::tables`].
    pub table: u32,
}

/// A table: the set of tuples that its segments hold. Segments let a table be taller than the circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// For messages.
    pub name: String,
    /// Each segment is a tuple of fixed columns; every row of it is an entry (repeats are fine).
    pub segments: Vec<Vec<Column>>,
}

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// Its column; it must be in [`Circuit::copy_columns`] to take part in a copy.
    pub column: Column,
    /// Its row.
    pub row: u32,
}

/// What a range of rows holds, so that a failing constraint can be named in the user's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// First row.
    pub first_row: u32,
    /// Row count.
    pub rows: u32,
    /// Operator, for example `Conv "/conv1/Conv"`.
    pub operator: String,
    /// Tensor, for example `/conv1/Conv_output_0`.
    pub tensor: String,
    /// The columns that this region occupies.
    pub columns: Vec<Column>,
}

/// A circuit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    /// log2 of the row count.
    pub k: u32,
    /// Highest degree of any constraint, those of the lookup argument included (3 to 9); the quotient takes
    /// `degree − 1` cosets and a lookup helper carries up to `degree − 1` lookups.
    pub degree: u32,
    /// Names of the fixed columns.
    pub fixed: Vec<String>,
    /// Names of the instance columns.
    pub instance: Vec<String>,
    /// Groups of committed columns.
    pub committed: Vec<CommittedGroup>,
    /// The prover's columns.
    pub advice: Vec<AdviceColumn>,
    /// `challenges[p]` names the challenges drawn after phase `p` is committed, in order. The number of phases is
    /// `challenges.len()`, plus one if any advice column is of a later phase.
    pub challenges: Vec<Vec<String>>,
    /// Constraints.
    pub gates: Vec<Gate>,
    /// Lookups.
    pub lookups: Vec<Lookup>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Columns that may take part in copies (advice, instance or fixed; few).
    pub copy_columns: Vec<Column>,
    /// Cells that must be equal.
    pub copies: Vec<(Cell, Cell)>,
    /// Values of the instance columns.
    pub instance_cells: Vec<InstanceCell>,
    /// How many public inputs a statement has.
    pub public_inputs: u32,
    /// What the public inputs mean to those who rely on a proof (shapes, scales, who sees what), in the words of the
    /// crate above; opaque here. Part of the verifying key and its digest, so every proof is bound to it.
    pub meaning: String,
    /// For messages only; not part of the verifying key.
    pub regions: Vec<Region>,
}

impl Circuit {
    /// Row count.
    pub fn rows(&self) -> usize {
        1usize.checked_shl(self.k).unwrap_or(0)
    }

    /// Makes column `committed` usable where constraints multiply: an advice column of phase 0, the last one so far, that
    /// a gate makes equal to it on every row. The witness gives it the committed column's values.
    ///
    /// It is committed to anew in every proof, with blinding of its own, so what proofs reveal of it shows nothing of the
    /// committed column, which still enters linearly only. The two commitments differ by `[(b' − b)·(X^n − 1)]`, and the
    /// gate's share of the quotient is what proves it (`docs/protocol.md`, "Model commitments").
    pub fn re_randomise(&mut self, committed: u32, name: &str) -> Column {
        let column = Column::Advice(u32::try_from(self.advice.len()).unwrap_or(u32::MAX));
        self.advice.push(AdviceColumn { name: name.into(), phase: 0, linear: false });
        let difference = [column.here(), Expression::Negated(Box::new(Column::Committed(committed).here()))];
        let expression = Expression::Sum(difference.into());
        self.gates.push(Gate { name: format!("{name} is the committed column"), expression });
        column
    }

    /// All challenges in order of drawing, each with the phase after which it is drawn.
    pub fn challenge_list(&self) -> Vec<(u8, Challenge)> {
        let mut list = Vec::new();
        for (phase, names) in (0u8..).zip(&self.challenges) {
            for _ in names {
                let index = u32::try_from(list.len()).unwrap_or(u32::MAX);
                list.push((phase, Challenge(index)));
            }
        }
        list
    }
}
