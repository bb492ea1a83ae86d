//! The card's control program: admin commands, queue arbitration, engine sequencing.
