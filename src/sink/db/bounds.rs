//! Bounds: how long the database may take for anything, so that nothing of it is waited for without end.
//!
//! Each session of a server is told first, because the server's answer says what was in the way and lets go of its locks.
//! What gives no answer at all, this process itself gives up a little later: a server, or something between, that has died
//! without closing the connection. Both pass, and are tried again on another connection.

use crate::config::Config;
use sea_orm::sqlx::{AssertSqlSafe, Executor, MySqlConnection, PgConnection};
use sea_orm::{DbErr, RuntimeErr, sqlx};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How much longer than the server's own bound an answer is waited for: what a loaded server may need to notice, and its
/// answer to arrive.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// How long a server keeps a transaction in which this process does nothing. Between two statements it writes a
/// checkpoint, which takes a slow disk seconds; a process that is frozen, or cut off, must not keep its locks for hours.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(60);

/// What a PostgreSQL server is asked to do where its version and platform can: to notice a client that is gone, by the
/// connection's own means within half a minute, and in the middle of a long statement.
const POSTGRES_OPTIONAL: [&str; 5] = [
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 30000",
    "SET client_connection_check_interval = 10000",
];

/// How long a statement may take, and a lock may be waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    statement_max: Duration,
    lock_wait: Duration,
    /// SQLite has no other side that could be silent: it waits for locks by itself, and so long.
    is_on_server: bool,
}

impl Bounds {
    /// As they are configured.
    pub fn of(config: &Config) -> Self {
        let is_on_server = !config.database_url.reveal().starts_with("sqlite:");
        Self { statement_max: config.statement_max, lock_wait: config.lock_wait, is_on_server }
    }

    /// How long a statement waits for a lock.
    pub const fn lock_wait(&self) -> Duration {
        self.lock_wait
    }

    /// Waits for the answer to a statement.
    pub async fn keep<T, E: From<DbErr>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.keep_or(work, || {}).await
    }

    /// As [`Bounds::keep`]; `give_up` is told when there was no answer.
    pub async fn keep_or<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        give_up: impl FnOnce(),
    ) -> Result<T, E> {
        self.answer_within(self.statement_max, "statement_max_ms", work, give_up).await
    }

    /// Waits for the answer to a statement that takes no time once it has its lock.
    pub async fn keep_short<T, E: From<DbErr>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.keep_short_or(work, || {}).await
    }

    /// As [`Bounds::keep_short`]; `give_up` is told when there was no answer.
    pub async fn keep_short_or<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        give_up: impl FnOnce(),
    ) -> Result<T, E> {
        self.answer_within(self.lock_wait, "lock_wait_ms", work, give_up).await
    }

    async fn answer_within<T, E: From<DbErr>>(
        &self,
        longest: Duration,
        setting: &str,
        work: impl Future<Output = Result<T, E>>,
        give_up: impl FnOnce(),
    ) -> Result<T, E> {
        if !self.is_on_server {
            return work.await;
        }
        let longest = longest.saturating_add(ANSWER_GRACE);
        match timeout(longest, work).await {
            Ok(done) => done,
            Err(_) => {
                give_up();
                Err(silence(longest, setting).into())
            }
        }
    }

    /// Tells a session of PostgreSQL.
    pub async fn tell_postgres(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let set = format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}",
            self.statement_max.as_millis(),
            self.lock_wait.as_millis(),
            IDLE_IN_TRANSACTION_MAX.as_millis()
        );
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *connection).await?;
        for set in POSTGRES_OPTIONAL {
            match sqlx::raw_sql(set).execute(&mut *connection).await {
                // Not known, or not to be had on its platform.
                Ok(_) | Err(sqlx::Error::Database(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells a session of the pool of a MySQL-like server.
    pub async fn tell_mysql(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        let variables: Vec<(String, String)> = sqlx::query_as(MYSQL_VARIABLES).fetch_all(&mut *connection).await?;
        let names: Vec<String> = variables.into_iter().map(|(name, _)| name).collect();
        connection.execute(AssertSqlSafe(self.mysql_statement(&names))).await?;
        Ok(())
    }

    /// What a session of a MySQL-like server is told that has these of [`MYSQL_VARIABLES`].
    pub fn mysql_statement(&self, names: &[String]) -> String {
        let has = |name: &str| names.iter().any(|known| known == name);
        let lock_seconds = self.lock_wait.as_secs().max(1);
        let mut set =
            vec![format!("lock_wait_timeout = {lock_seconds}"), format!("innodb_lock_wait_timeout = {lock_seconds}")];
        if has("max_statement_time") {
            set.push(format!("max_statement_time = {}", self.statement_max.as_secs_f64()));
        }
        if has("max_execution_time") {
            // MySQL bounds what only reads; this process bounds the rest.
            set.push(format!("max_execution_time = {}", self.statement_max.as_millis()));
        }
        let idle = if has("idle_transaction_timeout") { "idle_transaction_timeout" } else { "wait_timeout" };
        // MySQL knows of no transactions there: it ends connections that the pool then opens anew.
        set.push(format!("{idle} = {}", IDLE_IN_TRANSACTION_MAX.as_secs()));
        format!("SET {}", set.iter().map(|set| format!("SESSION {set}")).collect::<Vec<_>>().join(", "))
    }
}

/// Which of the variables a MySQL-like server has that not all of them have.
pub(crate) const MYSQL_VARIABLES: &str =
    "SHOW VARIABLES WHERE Variable_name IN ('max_statement_time', 'max_execution_time', 'idle_transaction_timeout')";

/// The error of an answer that did not come within what a setting allows.
pub(crate) fn silence(longest: Duration, setting: &str) -> DbErr {
    let silence = format!("no answer within {:.1} s ({setting})", longest.as_secs_f64());
    let silence = io::Error::new(io::ErrorKind::TimedOut, silence);
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(silence))))
}
