//! Lease: allows one writer per database. It is a ledger row that the writer keeps updating while
//! it lives.
//!
//! No clocks are compared. A waiting process takes the lease over if the row has not changed for
//! [`SILENCE_MAX`] on the waiting process's own clock, or at once if the holder was a process of
//! this machine that has ended. Every commit checks the token, so a holder that was only slow can't
//! write after it lost the lease.

use crate::error::{SyncError, Verdict};
use crate::sink::db::bounds::silence;
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use chrono::Utc;
use entity::{TableShape, lease};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set, Value};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A holder that has not updated its row for this long counts as dead or disconnected.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Heartbeat interval: well below [`SILENCE_MAX`], so that a slow heartbeat does no harm.
pub const BEAT_INTERVAL: Duration = Duration::from_secs(2);

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Time limit of a take-over after the wait has ended, or without a wait.
const TAKE_OVER_MIN: Duration = Duration::from_secs(1);
const ROW: i64 = 1;

/// The right to write to a database.
#[derive(Debug)]
pub struct Lease {
    token: String,
}

impl Lease {
    /// Takes the lease. Waits for another holder at most `wait`, even while the row is locked: a
    /// holder that is frozen in a transaction keeps it locked.
    ///
    /// # Errors
    ///
    /// [`SyncError::LeaseHeld`] when another process still holds it after the wait.
    pub(crate) async fn take(
        connection: &Connection,
        collation: Option<&str>,
        wait: Duration,
    ) -> Result<Self, SyncError> {
        make_table(connection, collation).await?;
        let this = Process::this();
        let started = Instant::now();
        let mut seen: Option<(lease::Model, Instant)> = None;
        loop {
            let Some(held) = connection.bounds.keep_short(find(connection)).await? else {
                if insert(connection, &this).await? {
                    return Ok(Self { token: this.token() });
                }
                continue;
            };
            let silent_since = match &seen {
                Some((before, since))
                    if before.token == held.token && before.beats == held.beats =>
                {
                    *since
                }
                _ => Instant::now(),
            };
            let silent = silent_since.elapsed();
            let is_free = held.token.is_empty() || this.knows_dead(&held.token);
            let is_over = is_free || silent >= SILENCE_MAX;
            let rest = wait.saturating_sub(started.elapsed());
            let taken = match is_over {
                true => {
                    within(rest.max(TAKE_OVER_MIN), take_over(connection, &held, &this)).await?
                }
                false => TakeOver::Lost,
            };
            match taken {
                TakeOver::Won => return Ok(Self { token: this.token() }),
                // Another process was faster.
                TakeOver::Lost if is_over && !rest.is_zero() => {}
                // Nobody holds the lease; the lock on the database has another purpose.
                TakeOver::Locked(error) if is_free => return Err(error),
                taken if started.elapsed() >= wait => {
                    return Err(SyncError::LeaseHeld {
                        holder: description(&held, silent, &taken),
                    });
                }
                TakeOver::Lost | TakeOver::Locked(_) => {}
            }
            if seen.is_none() {
                let wait_ms = crate::process::clock::millis(wait);
                tracing::warn!(holder = held.holder, wait_ms, "waiting for the lease");
            }
            seen = Some((held, silent_since));
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Updates the row to show that the holder lives.
    ///
    /// # Errors
    ///
    /// [`SyncError::LeaseLost`] when another process took it over.
    pub async fn beat(&self, connection: &impl ConnectionTrait) -> Result<(), SyncError> {
        let beat = lease::Entity::update_many()
            .col_expr(lease::Column::Beats, Expr::col(lease::Column::Beats).add(1))
            .col_expr(lease::Column::BeatAt, Expr::value(now(connection)))
            .filter(lease::Column::Id.eq(ROW))
            .filter(lease::Column::Token.eq(self.token.as_str()))
            .exec(connection)
            .await?;
        if beat.rows_affected == 1 { Ok(()) } else { Err(SyncError::LeaseLost) }
    }

    /// Gives the lease up, so that the next process can take it at once.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn give_up(&self, connection: &impl ConnectionTrait) -> Result<(), SyncError> {
        lease::Entity::update_many()
            .col_expr(lease::Column::Token, Expr::value(""))
            .filter(lease::Column::Token.eq(self.token.as_str()))
            .exec(connection)
            .await?;
        Ok(())
    }
}

/// The holder of the lease, as any process can read it.
#[derive(Clone, Debug, Serialize)]
pub struct LeaseStatus {
    /// Who holds the lease, or held it last.
    pub holder: String,
    /// Whether the lease is held: not after it was given up, or if its holder is known to be dead.
    pub is_held: bool,
    /// Last heartbeat by the holder's clock, in milliseconds since 1970.
    #[serde(skip)]
    pub beat_ms: Option<i64>,
}

/// Reads who holds the lease, without trying to take it; `None` if nobody ever did.
///
/// # Errors
///
/// When the database does not answer.
pub async fn look(connection: &impl ConnectionTrait) -> Result<Option<LeaseStatus>, SyncError> {
    let Some(held) = lease::Entity::find_by_id(ROW).one(connection).await? else { return Ok(None) };
    Ok(Some(LeaseStatus {
        is_held: !held.token.is_empty() && !Process::this().knows_dead(&held.token),
        holder: held.holder,
        beat_ms: held.beat_at.map(|at| at.timestamp_millis()),
    }))
}

/// Result of an attempt to take the lease over.
#[derive(Debug)]
enum TakeOver {
    Won,
    /// The row had changed since it was read.
    Lost,
    /// The row stayed locked, with the error of the database.
    Locked(SyncError),
}

/// Tries for this long. A lock that is not released is no failure of the database.
async fn within(
    longest: Duration,
    take_over: impl Future<Output = Result<bool, SyncError>>,
) -> Result<TakeOver, SyncError> {
    match timeout(longest, take_over).await {
        Ok(Ok(true)) => Ok(TakeOver::Won),
        Ok(Ok(false)) => Ok(TakeOver::Lost),
        Ok(Err(error)) if error.verdict() == Verdict::Retry => Ok(TakeOver::Locked(error)),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(TakeOver::Locked(silence(longest, "lease_wait_ms").into())),
    }
}

/// Says who holds the lease, and since when the holder is silent.
fn description(held: &lease::Model, silent: Duration, taken: &TakeOver) -> String {
    let holder = &held.holder;
    match taken {
        TakeOver::Locked(_) => {
            format!(
                "{holder}, silent for {} s and keeping its locks (stopped, hung or cut off?),",
                silent.as_secs()
            )
        }
        _ => holder.clone(),
    }
}

async fn find(connection: &Connection) -> Result<Option<lease::Model>, SyncError> {
    Ok(lease::Entity::find_by_id(ROW).one(connection).await?)
}

fn now(connection: &impl ConnectionTrait) -> Value {
    Dialect::of(connection.get_database_backend()).time(Some(Utc::now().timestamp_millis()))
}

/// The first migration creates this table too, but only the lease holder runs migrations. An
/// existing table is left alone: `CREATE` could wait for a lock of the holder.
async fn make_table(connection: &Connection, collation: Option<&str>) -> Result<(), SyncError> {
    match connection.bounds.keep_short(find(connection)).await {
        Ok(_) => return Ok(()),
        Err(error) if error.verdict() == Verdict::Retry => return Err(error),
        Err(_) => {}
    }
    let shape = TableShape::of::<lease::Entity>();
    let table = migration::ddl::create_table(&shape, connection.get_database_backend(), collation);
    if connection.execute(&table).await.is_err() {
        // On PostgreSQL, two simultaneous `CREATE`s collide; the table exists now.
        tokio::time::sleep(POLL_INTERVAL).await;
        connection.execute(&table).await?;
    }
    Ok(())
}

/// Inserts the row; `false` if another process was faster.
async fn insert(connection: &impl ConnectionTrait, this: &Process) -> Result<bool, SyncError> {
    let row = lease::ActiveModel {
        id: Set(ROW),
        holder: Set(this.description()),
        token: Set(this.token()),
        beats: Set(0),
        beat_at: Set(None),
    };
    let nothing =
        OnConflict::column(lease::Column::Id).do_nothing_on([lease::Column::Id]).to_owned();
    let inserted =
        lease::Entity::insert(row).on_conflict(nothing).exec_without_returning(connection).await?;
    Ok(matches!(inserted, 1))
}

/// Takes the lease if the row is still as in `held`; `false` if it is not.
async fn take_over(
    connection: &impl ConnectionTrait,
    held: &lease::Model,
    this: &Process,
) -> Result<bool, SyncError> {
    let taken = lease::Entity::update_many()
        .col_expr(lease::Column::Token, Expr::value(this.token()))
        .col_expr(lease::Column::Holder, Expr::value(this.description()))
        .col_expr(lease::Column::BeatAt, Expr::value(now(connection)))
        .filter(lease::Column::Id.eq(ROW))
        .filter(lease::Column::Token.eq(held.token.as_str()))
        .filter(lease::Column::Beats.eq(held.beats))
        .exec(connection)
        .await?;
    Ok(taken.rows_affected == 1)
}

/// Identity of a process, by which another process of the same machine can tell whether it still
/// runs.
struct Process {
    /// Boot and process namespace; process numbers mean nothing outside of it.
    place: String,
    id: u32,
    /// Start of the process in clock ticks since boot. Process numbers are reused, this is not.
    started: String,
}

impl Process {
    fn this() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace =
            std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string());
        let id = std::process::id();
        Self {
            place: format!("{}/{}", boot.trim(), namespace.unwrap_or_default()),
            id,
            started: start_of(id).unwrap_or_default(),
        }
    }

    fn token(&self) -> String {
        format!("{} {} {}", self.place, self.id, self.started)
    }

    fn description(&self) -> String {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("tidegate, process {} on {host}", self.id)
    }

    /// Whether the holder of this token was a process of this machine that has ended.
    fn knows_dead(&self, token: &str) -> bool {
        let mut parts = token.split(' ');
        let (Some(place), Some(id), Some(started)) = (parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let Ok(id) = id.parse() else { return false };
        place == self.place
            && !started.is_empty()
            && start_of(id).as_deref() != Some(started)
            && !is_hidden(id)
    }
}

/// Whether a process runs that `/proc` hides because it belongs to another user (`hidepid`,
/// `ProtectProc=`).
fn is_hidden(id: u32) -> bool {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    id.is_some_and(|id| matches!(test_kill_process(id), Err(Errno::PERM)))
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)); it comes after the command in parentheses.
fn start_of(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, after_command) = stat.rsplit_once(") ")?;
    // A zombie no longer holds anything.
    let mut fields = after_command.split(' ');
    (fields.next()? != "Z").then(|| fields.nth(18).map(str::to_owned))?
}
