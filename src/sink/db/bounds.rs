//! Bounds: time limits on everything that the database does, so that tidegate never waits without
//! end.
//!
//! Each session sets limits on the server first: the server then says what was in the way and
//! releases its locks. If the server, or something between, died without closing the connection, no
//! answer comes; then this process gives up a little later. Both errors are passing: the work is
//! tried again on another connection.

use crate::config::Config;
use sea_orm::sqlx::{AssertSqlSafe, Executor, MySqlConnection, PgConnection};
use sea_orm::{DbErr, RuntimeErr, sqlx};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How much longer than the server's own limit this process waits: a loaded server may need this
/// long to notice the timeout and send its answer.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// How long a server keeps an idle transaction. Between two statements this process may write a
/// checkpoint, which takes seconds on a slow disk. A frozen or disconnected process must not keep
/// its locks for hours.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(60);

/// PostgreSQL settings that let the server notice a lost client: within half a minute by TCP
/// keepalive, and also during a long statement. Not every version and platform has them.
const POSTGRES_OPTIONAL: [&str; 5] = [
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 30000",
    "SET client_connection_check_interval = 10000",
];

/// Limits on the time of a statement and on the wait for a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    statement_max: Duration,
    lock_wait: Duration,
    /// SQLite has no server that could stop answering. It waits for locks itself, up to this limit.
    is_on_server: bool,
}

impl Bounds {
    /// The limits that the configuration sets.
    pub fn of(config: &Config) -> Self {
        let is_on_server = !config.database_url.reveal().starts_with("sqlite:");
        Self { statement_max: config.statement_max, lock_wait: config.lock_wait, is_on_server }
    }

    /// How long a statement waits for a lock.
    pub const fn lock_wait(&self) -> Duration {
        self.lock_wait
    }

    /// Awaits a statement, within the statement limit.
    pub async fn keep<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.keep_or(work, || {}).await
    }

    /// Like [`Bounds::keep`]; calls `give_up` if there was no answer.
    pub async fn keep_or<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        give_up: impl FnOnce(),
    ) -> Result<T, E> {
        self.answer_within(self.statement_max, "statement_max_ms", work, give_up).await
    }

    /// Awaits a statement that is fast once it has its lock, within the shorter lock limit.
    pub async fn keep_short<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.keep_short_or(work, || {}).await
    }

    /// Like [`Bounds::keep_short`]; calls `give_up` if there was no answer.
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

    /// Sets the limits in a PostgreSQL session.
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
                // The server does not know the setting, or its platform does not support it.
                Ok(_) | Err(sqlx::Error::Database(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sets the limits in a pool session of MySQL or MariaDB.
    pub async fn tell_mysql(&self, connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        let variables: Vec<(String, String)> =
            sqlx::query_as(MYSQL_VARIABLES).fetch_all(&mut *connection).await?;
        let names: Vec<String> = variables.into_iter().map(|(name, _)| name).collect();
        connection.execute(AssertSqlSafe(self.mysql_statement(&names))).await?;
        Ok(())
    }

    /// The `SET` values for a MySQL or MariaDB server that has these of [`MYSQL_VARIABLES`].
    pub fn mysql_statement(&self, names: &[String]) -> String {
        let has = |name: &str| names.iter().any(|known| known == name);
        let lock_seconds = self.lock_wait.as_secs().max(1);
        let mut set = vec![
            format!("lock_wait_timeout = {lock_seconds}"),
            format!("innodb_lock_wait_timeout = {lock_seconds}"),
        ];
        if has("max_statement_time") {
            set.push(format!("max_statement_time = {}", self.statement_max.as_secs_f64()));
        }
        if has("max_execution_time") {
            // MySQL limits only statements that read; this process limits the rest.
            set.push(format!("max_execution_time = {}", self.statement_max.as_millis()));
        }
        let idle = if has("idle_transaction_timeout") {
            "idle_transaction_timeout"
        } else {
            "wait_timeout"
        };
        // MySQL has no such limit on transactions; it closes idle connections, and the pool opens
        // new ones.
        set.push(format!("{idle} = {}", IDLE_IN_TRANSACTION_MAX.as_secs()));
        format!(
            "SET {}",
            set.iter().map(|set| format!("SESSION {set}")).collect::<Vec<_>>().join(", ")
        )
    }
}

/// Variables that only some MySQL and MariaDB versions have, as found on this server.
pub(crate) const MYSQL_VARIABLES: &str = "SHOW VARIABLES WHERE Variable_name IN ('max_statement_time', 'max_execution_time', 'idle_transaction_timeout')";

/// The error for an answer that did not come within the limit that this setting gives.
pub(crate) fn silence(longest: Duration, setting: &str) -> DbErr {
    let silence = format!("no answer within {:.1} s ({setting})", longest.as_secs_f64());
    let silence = io::Error::new(io::ErrorKind::TimedOut, silence);
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(silence))))
}
