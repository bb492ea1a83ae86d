//! Lists the cards that can prove, or describes one.
//!
//! ```console
//! $ kiln card list
//! $ kiln card info sim:u55c
//! ```
//! A card named `sim:PROFILE` is simulated, cycle by cycle, behind the same driver: use it as `--backend
//! card:PROFILE`. What `info` prints is what the card itself answers when the driver asks.
