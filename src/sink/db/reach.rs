//! Reach: one plain connection before the pool's first. A pool that cannot connect tries on until its time is up, and then
//! only says that it was; a plain connection says at once what is in the way.

use crate::config::database_url::DatabaseUrl;
use crate::error::SyncError;
use crate::sink::db::connect::{MYSQL_PORT, POSTGRES_PORT};
use sea_orm::sqlx::mysql::MySqlConnectOptions;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{ConnectOptions, Connection};
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Whether the server at a URL lets this process in. Of a file there is nothing to reach.
///
/// # Errors
///
/// What is in the way, or that there was no answer in time.
pub(crate) async fn reach(url: &DatabaseUrl, longest: Duration) -> Result<(), SyncError> {
    let reached = match tokio::time::timeout(longest, connect_once(url.reveal())).await {
        Ok(reached) => reached,
        Err(_) => {
            let silence = format!("no answer within {:.1} s", longest.as_secs_f64());
            Err(SqlxError::Io(io::Error::new(io::ErrorKind::TimedOut, silence)))
        }
    };
    reached.map_err(|error| {
        let source = DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)));
        SyncError::Unreached { place: place(url), source: source.into() }
    })
}

/// Host, port and name, also where the URL leaves the port to the driver.
fn place(url: &DatabaseUrl) -> String {
    let place = url.to_string();
    match Url::parse(&place).is_ok_and(|place| place.port().is_none() && place.host().is_some()) {
        true if place.starts_with("mysql:") => format!("{place} (port {MYSQL_PORT})"),
        true => format!("{place} (port {POSTGRES_PORT})"),
        false => place,
    }
}

/// A URL that cannot be read is for the pool to complain about.
async fn connect_once(url: &str) -> Result<(), SqlxError> {
    if url.starts_with("mysql://")
        && let Ok(options) = url.parse::<MySqlConnectOptions>()
    {
        return options.connect().await?.close().await;
    }
    if url.starts_with("postgres://")
        && let Ok(options) = url.parse::<PgConnectOptions>()
    {
        return options.connect().await?.close().await;
    }
    Ok(())
}
