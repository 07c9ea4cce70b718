//! `tidegate alarms`: lists what a person should know, and notes that somebody does.

use crate::cli::logging::{OF_COMMAND, start_logging};
use crate::cli::service_user::user_name;
use crate::cli::{
    CommandError, Exit, Shared, THREADS_GRACE, runtime, say, say_json, say_whose, with_whose,
};
use crate::config::Config;
use crate::dispatch::retry::{Patience, look_at_database, patiently};
use crate::process::clock::now_ms;
use crate::sink::ledger::alarms::{Alarm, LISTED_MAX, acknowledge};
use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[derive(Args, Debug)]
pub(super) struct AlarmsArguments {
    /// Note that you know of the alarm with this number
    #[arg(long, value_name = "ID")]
    ack: Option<i64>,
    /// Also list alarms that are cleared
    #[arg(long)]
    all: bool,
}

pub(super) fn execute(shared: &Shared, own: &AlarmsArguments) -> Result<Exit, CommandError> {
    let config = shared.look()?;
    start_logging(&config, OF_COMMAND)?;
    let runtime = runtime(&config)?;
    let alarms = runtime.block_on(async {
        if let Some(id) = own.ack {
            note(&config, id).await?;
        }
        let listed =
            look_at_database(&config, async |sink| sink.ledger.alarms(!own.all, LISTED_MAX).await)
                .await?;
        Ok::<_, CommandError>(listed.unwrap_or_default())
    });
    runtime.shutdown_timeout(THREADS_GRACE);
    print(&config, &alarms?, shared.json);
    Ok(Exit::Done)
}

/// Notes that the user of this command knows of an alarm.
async fn note(config: &Config, id: i64) -> Result<(), CommandError> {
    let unknown = || {
        CommandError::Usage(format!("there is no alarm {id}; `tidegate alarms --all` lists them"))
    };
    look_at_database(config, async |_| Ok(())).await?.ok_or_else(unknown)?;
    let patience = Patience::Limited(config.database_wait);
    let who = user_name();
    let shutdown = CancellationToken::new();
    let noted =
        patiently(patience, &shutdown, async || acknowledge(config, id, &who, now_ms()).await);
    if noted.await? { Ok(()) } else { Err(unknown()) }
}

fn print(config: &Config, alarms: &[Alarm], is_json: bool) {
    if is_json {
        return say_json(&with_whose(config, json!({ "alarms": alarms })));
    }
    say_whose(config);
    if alarms.is_empty() {
        say(format_args!("no alarms"));
    }
    for alarm in alarms {
        say(format_args!("{}", alarm_line(alarm)));
    }
}

/// An alarm, for people.
pub(super) fn alarm_line(alarm: &Alarm) -> String {
    let market = match alarm.market.as_deref() {
        None | Some("") => String::new(),
        Some(market) => format!(", market {market}"),
    };
    let dataset = alarm.dataset.as_deref().unwrap_or("-");
    let cleared = alarm.cleared_at.as_ref().map(|at| format!("; cleared {at}")).unwrap_or_default();
    let known =
        alarm.acknowledged_by.as_ref().map(|who| format!("; known to {who}")).unwrap_or_default();
    format!(
        "{}  {}  {} of {dataset}{market}: {}{cleared}{known}",
        alarm.id, alarm.raised_at, alarm.kind, alarm.message
    )
}
