//! Lost: server sessions that never answered, and may still hold their locks. Behind a silent
//! proxy, a server waits for the rest of a COPY or LOAD DATA without end, and keeps the lease's row
//! locked.

use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use sea_orm::{ConnectionTrait, DbErr, Statement, Value};
use std::sync::{Mutex, PoisonError};

/// A lost session has been idle, or in one statement, for at least this long. A new session that
/// got the same id has not, so it is not ended.
const SILENCE_SECONDS_MIN: i64 = 2;

/// Server ids of sessions whose transactions were given up without an answer.
#[derive(Debug, Default)]
pub(crate) struct LostSessions(Mutex<Vec<i64>>);

impl LostSessions {
    /// Adds one.
    pub fn note(&self, session: Option<i64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(session);
    }

    fn take(&self) -> Vec<i64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the lost sessions through another connection. Every user may end their own sessions.
    pub async fn end(&self, connection: &Connection, dialect: Dialect) -> Result<(), DbErr> {
        for session in self.take() {
            let ended = end(connection, dialect, session).await;
            if ended.is_err() {
                self.note(Some(session));
            }
            ended?;
            tracing::warn!(session, "a connection that gave no answer was ended at the server");
        }
        Ok(())
    }
}

async fn end(connection: &Connection, dialect: Dialect, session: i64) -> Result<(), DbErr> {
    let statement = |sql: &str| {
        let values = [Value::from(session), Value::from(SILENCE_SECONDS_MIN)];
        Statement::from_sql_and_values(dialect.backend(), sql, values)
    };
    match dialect {
        Dialect::Sqlite => {}
        Dialect::Postgres => {
            let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 \
                 AND usename = current_user AND datname = current_database() \
                 AND xact_start < now() - make_interval(secs => $2::bigint)";
            connection.query_all_raw(statement(terminate)).await?;
        }
        Dialect::Mysql => {
            let found = "SELECT 1 FROM information_schema.processlist WHERE id = ? AND time >= ? AND db = DATABASE()";
            if connection.query_one_raw(statement(found)).await?.is_some() {
                // The session may have ended by itself.
                let _ = connection.execute_unprepared(&format!("KILL {session}")).await;
            }
        }
    }
    Ok(())
}
