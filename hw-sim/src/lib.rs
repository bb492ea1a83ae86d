//! Cycle-level simulator of the Kiln accelerator card.
