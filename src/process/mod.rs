//! Process: services of the process and the machine that every stage uses: clock, progress, turns,
//! waiting, file modes, secrets and terminal output.

pub mod clock;
pub mod modes;
pub mod progress;
pub mod secret;
pub mod terminal;
pub mod turns;
pub mod waiting;
