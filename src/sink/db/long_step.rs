//! Long step: work that may keep a database busy for minutes, such as creating an index or
//! computing a mart.
//!
//! A long step logs that it is still running, and it ends when the process stops: its statement is
//! cancelled, its transaction rolls back, and the next start does the work.

use crate::error::SyncError;
use crate::process::secret::conceal;
use crate::sink::db::Db;
use sea_orm::sqlx::Sqlite;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::{ConnectionTrait, sqlx};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{interval_at, sleep, timeout};

/// When a running step logs: first when it takes longer than usual, then often enough that silence
/// does not look like a hang.
pub(crate) const SAID_EVERY: Duration = Duration::from_secs(10);

/// How often the cancel request to a server is repeated: one that arrives between two statements
/// has no effect.
const CUT_EVERY: Duration = Duration::from_millis(100);

/// Time limit of a cancel request. A server that is away has ended the statement anyway.
const CUT_WAIT_MAX: Duration = Duration::from_secs(1);

/// Instructions of SQLite's virtual machine between two checks of the stop signal: some
/// milliseconds, so that the checks cost nothing noticeable.
const SQLITE_STEPS_PER_LOOK: i32 = 100_000;

/// Tells SQLite connections to interrupt their statements. It is never unset, because the process
/// stops.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Interrupts the running statements.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Makes every connection of a pool check it.
    pub fn watched_by(&self, pool: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
        let interrupt = self.clone();
        pool.after_connect(move |connection, _| {
            let interrupt = interrupt.clone();
            Box::pin(async move {
                let go_on = move || !interrupt.0.load(Ordering::Relaxed);
                connection.lock_handle().await?.set_progress_handler(SQLITE_STEPS_PER_LOOK, go_on);
                Ok::<_, sqlx::Error>(())
            })
        })
    }
}

/// The session whose statements are to be cancelled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DbSession {
    /// All connections of this process.
    Sqlite,
    /// The thread id on the server.
    Mysql(u32),
    /// The process id on the server.
    Postgres(i32),
}

impl DbSession {
    /// The server's id of the session; SQLite has none.
    pub fn number(self) -> Option<i64> {
        match self {
            Self::Sqlite => None,
            Self::Mysql(id) => Some(id.into()),
            Self::Postgres(id) => Some(id.into()),
        }
    }
}

impl Db {
    /// Interrupts everything that SQLite still runs. Servers end their statements when the process
    /// ends.
    pub fn interrupt(&self) {
        self.interrupt.set();
    }

    /// Runs a step, logs that it is still running, and cancels it when the process stops.
    pub(crate) async fn long_step<T, E: Into<SyncError>>(
        &self,
        step: &str,
        session: DbSession,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, SyncError> {
        tracing::debug!(step, "step begun");
        let started = Instant::now();
        let mut says = interval_at((started + SAID_EVERY).into(), SAID_EVERY);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(Into::into),
                _ = says.tick() => {
                    tracing::warn!(step, elapsed_s = started.elapsed().as_secs(), "a step takes long and goes on");
                }
                () = self.stop.cancelled() => break,
            }
        }
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(|_| SyncError::Stopped),
                () = self.cut_off(session) => {}
            }
        }
    }

    /// Asks the database to cancel a session's statement.
    async fn cut_off(&self, session: DbSession) {
        let statement = match session {
            DbSession::Sqlite => {
                self.interrupt.set();
                None
            }
            DbSession::Mysql(id) => Some(format!("KILL QUERY {id}")),
            DbSession::Postgres(id) => Some(format!("SELECT pg_cancel_backend({id})")),
        };
        if let Some(statement) = statement {
            let told = timeout(CUT_WAIT_MAX, self.connection.execute_unprepared(&statement)).await;
            if let Ok(Err(error)) = told {
                tracing::debug!(error = %conceal(&error.to_string()), "a statement could not be cut off");
            }
        }
        sleep(CUT_EVERY).await;
    }
}
