//! The `tidegate` program: arguments in, exit code out.

use clap::Parser;
use std::process::ExitCode;
use tidegate::cli::{Arguments, execute};

fn main() -> ExitCode {
    // Set up before any thread runs; it is empty unless the program was built for crash tests.
    let _failpoints = fail::FailScenario::setup();
    execute(Arguments::parse()).into()
}
