//! `tidegate describe`: prints the declaration of a file of which nothing is known, and writes
//! nothing.

use crate::cli::find;
use crate::cli::logging::{OF_COMMAND, complain, start_logging};
use crate::cli::{CommandError, Exit, Shared, say, say_json, with_whose};
use crate::config::Config;
use crate::dispatch::describe::{Description, Failure, describe};
use crate::source::find::scan::SourceFile;
use crate::source::find::zipped::real_path;
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub(super) struct DescribeArguments {
    /// The files; those that differ only in a day or number of their names make one dataset
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn execute(shared: &Shared, own: &DescribeArguments) -> Result<Exit, CommandError> {
    let config = shared.look_as_oneself()?;
    start_logging(&config, OF_COMMAND)?;
    let mut failures = Vec::new();
    let mut files: Vec<SourceFile> = Vec::new();
    for path in &own.files {
        match named_files(path, &config) {
            Ok(named) => {
                for file in named {
                    if !files.iter().any(|other| other.path == file.path) {
                        files.push(file);
                    }
                }
            }
            Err(reason) => failures.push(Failure { file: path.display().to_string(), reason }),
        }
    }
    let mut description: Description = describe(&config, files)?;
    failures.append(&mut description.failures);
    description.failures = failures;
    for Failure { file, reason } in &description.failures {
        complain(format_args!("{file}: {reason}"));
    }
    match shared.json {
        true => say_json(&with_whose(&config, serde_json::json!(description))),
        false => print(&description),
    }
    Ok(if description.failures.is_empty() { Exit::Done } else { Exit::FilesFailed })
}

/// The files of a path of the command line, and which datasets take them.
fn named_files(path: &Path, config: &Config) -> Result<Vec<SourceFile>, String> {
    let path = real_path(path).map_err(|error| format!("cannot be read: {error}"))?;
    if path.is_dir() {
        return Err("it is a folder; name the files in it".to_owned());
    }
    find::named_files(&path, config).map_err(|_| {
        "its name is hidden or temporary, or it is no ordinary file; rename it".to_owned()
    })
}

fn print(description: &Description) {
    for (number, dataset) in description.datasets.iter().enumerate() {
        if number > 0 {
            say(format_args!(""));
        }
        dataset.toml.lines().for_each(|line| say(format_args!("{line}")));
    }
}
