//! `tidegate init`: writes the commented default configuration to a file.

use crate::cli::{CommandError, Exit, Shared, say, say_json};
use crate::config::DEFAULT_TOML;
use crate::process::modes::give_to_person;
use clap::Args;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct InitArguments {
    /// The file to write; an existing file is not changed
    #[arg(default_value = "tidegate.toml")]
    path: PathBuf,
}

pub(super) fn execute(shared: &Shared, own: &InitArguments) -> Result<Exit, CommandError> {
    let failed =
        |error| CommandError::Usage(format!("cannot write {}: {error}", own.path.display()));
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&own.path).map_err(failed)?;
    // Root writes this file and the service's user reads it. It holds no secrets.
    give_to_person(&file, false).map_err(failed)?;
    file.write_all(DEFAULT_TOML.as_bytes()).map_err(failed)?;
    if shared.json {
        say_json(&serde_json::json!({ "written": own.path }));
    } else {
        say(format_args!(
            "{} is written; every key in it has its default value",
            own.path.display()
        ));
    }
    Ok(Exit::Done)
}
