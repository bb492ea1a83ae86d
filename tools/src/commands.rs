//! The commands, one file each. The documentation at the top of a file is its command's help.

pub mod bench;
pub mod card;
pub mod compile;
pub mod demo;
pub mod prove;
pub mod range;
pub mod run;
pub mod setup;
pub mod tune;
pub mod verifier;
pub mod verify;
