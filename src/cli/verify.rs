//! `tidegate verify`: compares metrics, row hashes and counts in the database with its stored rows.

use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::print::grouped;
use crate::cli::{CommandError, Exit, Shared, runtime, say, say_json, say_whose, with_whose};
use crate::dispatch::retry::look_at_database;
use crate::verify::{Check, Difference, Verification};
use serde_json::json;

pub(super) fn execute(shared: &Shared) -> Result<Exit, CommandError> {
    let config = shared.look()?;
    start_logging(&config, OF_COMMAND)?;
    let verified = runtime(&config)?
        .block_on(look_at_database(&config, async |sink| sink.verify(&config.datasets).await))?;
    let verification = verified.unwrap_or_default();
    let differences = verification.differences();
    if shared.json {
        say_json(&with_whose(
            &config,
            json!({ "differences": differences, "checks": verification.checks }),
        ));
    } else {
        say_whose(&config);
        print(&verification);
    }
    Ok(if differences == 0 { Exit::Done } else { Exit::FilesFailed })
}

fn print(verification: &Verification) {
    if verification
        .checks
        .iter()
        .all(|check| check.checked == 0 && check.differences == 0 && check.pending == 0)
    {
        say(format_args!("nothing to verify: nothing was synced yet"));
        return;
    }
    verification.checks.iter().for_each(print_check);
    match verification.differences() {
        0 => say(format_args!("\neverything agrees")),
        1 => say(format_args!("\n1 difference")),
        differences => say(format_args!("\n{} differences", grouped(differences))),
    }
}

fn print_check(check: &Check) {
    let verdict = match (check.differences, check.skipped) {
        (0, None) => "ok",
        (0, Some(_)) => "skipped",
        _ => "differs",
    };
    let mut found = format!("{} checked", grouped(check.checked));
    if check.pending > 0 {
        found.push_str(&format!(", {} waiting for their refresh", grouped(check.pending)));
    }
    if check.differences > 0 {
        found.push_str(&format!(", {} wrong", grouped(check.differences)));
    }
    let found = check.skipped.unwrap_or(&found);
    let seconds = check.elapsed_ms as f64 / 1000.0;
    say(format_args!(
        "{verdict:<8} {:<33} {:<16} {found}  {seconds:.1} s",
        check.table, check.what
    ));
    for example in &check.examples {
        say(format_args!("         {}", describe(example)));
    }
    if check.differences > check.examples.len() as u64 {
        say(format_args!("         …"));
    }
}

fn describe(difference: &Difference) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
    let what = format!("{} ({})", difference.kind, difference.key);
    match (&difference.column, &difference.stored, &difference.expected) {
        (None, None, None) => what,
        (None, stored, None) => format!("{what}: {}", value(stored)),
        (column, stored, expected) => {
            let column = column.as_ref().map(|column| format!(" {column}")).unwrap_or_default();
            format!("{what}{column}: stored {}, expected {}", value(stored), value(expected))
        }
    }
}
