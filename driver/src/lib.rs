//! User-space driver of the Kiln accelerator card.
