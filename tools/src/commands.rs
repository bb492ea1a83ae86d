//! The commands, one file each. The documentation at the top of a file is its command's help.

pub mod setup;
pub mod verify;
