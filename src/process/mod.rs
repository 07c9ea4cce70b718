//! Process: what every stage asks of its process and machine: progress, turns, modes of files, secrets, terminals.

pub mod clock;
pub mod modes;
pub mod progress;
pub mod secret;
pub mod terminal;
pub mod turns;
pub mod waiting;
