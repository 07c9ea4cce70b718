//! Long step: what may keep a database busy for minutes, such as making an index or computing a mart.
//!
//! It says in the log that it goes on, and it ends when the process is to stop: its statement is cut off, its
//! transaction rolls back, and what it was to do is done at the next start.

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

/// How often a step that goes on says so: the first time when it takes longer than on a usual day, later often enough that
/// nobody takes silence for a hang.
pub(crate) const SAID_EVERY: Duration = Duration::from_secs(10);

/// How often a server is told to cut a statement off: a word that comes between two statements is lost.
const CUT_EVERY: Duration = Duration::from_millis(100);

/// How long a server may take to hear it; one that is away has cut the statement off itself.
const CUT_WAIT_MAX: Duration = Duration::from_secs(1);

/// Steps of SQLite's machine between two looks at whether it is to end: some milliseconds, and too many for any look to
/// be felt.
const SQLITE_STEPS_PER_LOOK: i32 = 100_000;

/// Has SQLite's connections end what they are at. Once set, it stays: the process stops.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends what runs.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Has every connection of a pool look at it.
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

/// Whose statements are to be cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DbSession {
    /// All of this process.
    Sqlite,
    /// The server's thread.
    Mysql(u32),
    /// The server's process.
    Postgres(i32),
}

impl DbSession {
    /// The server's number for it; SQLite has no server.
    pub fn number(self) -> Option<i64> {
        match self {
            Self::Sqlite => None,
            Self::Mysql(id) => Some(id.into()),
            Self::Postgres(id) => Some(id.into()),
        }
    }
}

impl Db {
    /// Has SQLite end whatever it is still at. On the servers it ends when the process does.
    pub fn interrupt(&self) {
        self.interrupt.set();
    }

    /// Does a step, says that it goes on, and cuts it off when the process is to stop.
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

    /// Has the database end what a session is at.
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
