//! Overview: the progress and problems that the ledger knows, for `tidegate status` and
//! `/api/status`.

use crate::chunk::Counts;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::db::lease;
use crate::sink::ledger::alarms::Alarm;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::marks::Marks;
use crate::sink::ledger::obstacles::Obstacle;
use crate::sink::ledger::{Ledger, now};
use crate::values::moment::format_moment;
use chrono::{DateTime, TimeDelta, Utc};
use entity::{files, rejects, schema_changes};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Synced files that the rate is measured over: enough that one small file does not distort it, and
/// few enough to be recent.
const RATE_FILES: u64 = 50;

/// Maximum entries of lists that need an operator's work, and of the others, which are only read at
/// a glance. The ledger has the rest.
const LISTED_MAX: u64 = 100;
const LATEST_MAX: u64 = 10;

/// Progress and problems. An empty list means that there is nothing to report.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Overview {
    /// Files by state: the newest version of each path. Quarantined, held, failed and unmatched
    /// files count only while they exist and nothing newer replaces them.
    pub files: BTreeMap<&'static str, u64>,
    /// Counts over all files.
    pub rows: Counts,
    /// Open rejected rows of files that exist.
    pub rejects_open: u64,
    /// Marks of mart groups that wait for their refresh.
    pub dirty_groups: u64,
    /// When the last file was synced.
    pub last_synced_at: Option<String>,
    /// Recent speed.
    pub rates: Rates,
    /// The last files that were taken, newest first.
    pub latest: Vec<LatestFile>,
    /// Files with open rejects, newest first.
    pub rejects: Vec<OpenRejects>,
    /// Files whose deletions wait for approval.
    pub held: Vec<StoppedFile>,
    /// Quarantined and failed files that exist and that nothing newer replaces.
    pub refused: Vec<StoppedFile>,
    /// Number of open alarms.
    pub alarms_open: u64,
    /// The newest of them.
    pub alarms: Vec<Alarm>,
    /// Obstacles to changes of tables, views and marts: most often objects that somebody built.
    pub objects_in_the_way: Vec<Obstacle>,
    /// The holder of the lease.
    pub lease: Option<LeaseView>,
    /// The last changes of tables' columns.
    pub schema_changes: Vec<SchemaChangeView>,
    /// Marts that lag behind the tables.
    pub lag: Vec<MartLag>,
}

/// Recent speed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rates {
    /// Rows per second of work, over the last synced files; `None` before the first one.
    pub rows_per_second: Option<f64>,
    /// Number of these files.
    pub files: u64,
    /// Files synced within the last hour.
    pub files_per_hour: u64,
}

/// A file that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct LatestFile {
    /// Absolute path.
    pub path: String,
    /// The feed; `None` when unmatched.
    pub dataset: Option<String>,
    /// The market; `None` when unmatched.
    pub market: Option<String>,
    /// Its state.
    pub state: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// When its content was first taken.
    pub started_at: String,
    /// Time from then until its final state.
    pub elapsed_ms: Option<i64>,
}

/// Open rejects of one file.
#[derive(Clone, Debug, Serialize)]
pub struct OpenRejects {
    /// Absolute path.
    pub path: String,
    /// How many rows.
    pub rows: i64,
    /// Reason of the first one, as an example.
    pub reason: String,
}

/// A file that waits for an operator.
#[derive(Clone, Debug, Serialize)]
pub struct StoppedFile {
    /// Absolute path.
    pub path: String,
    /// `held`, `quarantined` or `failed`.
    pub state: String,
    /// When it came into this state.
    pub at: Option<String>,
    /// Why.
    pub reason: String,
}

/// The holder of the lease.
#[derive(Clone, Debug, Serialize)]
pub struct LeaseView {
    /// The holder of the lease, with its last heartbeat by its own clock.
    #[serde(flatten)]
    pub status: lease::LeaseStatus,
    /// Time of the last heartbeat.
    pub beat_at: Option<String>,
}

/// A change of a table's columns.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaChangeView {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What happened to it.
    pub kind: String,
    /// Type or name before.
    pub old: Option<String>,
    /// Type or name after.
    pub new: Option<String>,
    /// When.
    pub at: String,
}

/// A mart that lags behind the tables in a market.
#[derive(Clone, Debug, Serialize)]
pub struct MartLag {
    /// The mart.
    pub mart: String,
    /// The market.
    pub market: String,
    /// Number of marks; `None` if the whole market is to be recomputed.
    pub groups: Option<i64>,
}

impl Ledger {
    /// Reads the overview; `now` is the current time.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn overview(
        &self,
        datasets: &[Arc<Dataset>],
        now_ms: i64,
    ) -> Result<Overview, SyncError> {
        let totals = self.totals(datasets).await?;
        Ok(Overview {
            files: totals.files,
            rows: totals.counts,
            rejects_open: totals.rejects_open,
            dirty_groups: totals.dirty_groups,
            last_synced_at: totals.last_synced_ms.map(format_moment),
            rates: self.rates(now_ms).await?,
            latest: self.latest_files().await?,
            rejects: self.open_rejects().await?,
            held: self.stopped_files(&[FileState::Held], datasets).await?,
            refused: self
                .stopped_files(&[FileState::Quarantined, FileState::Failed], datasets)
                .await?,
            alarms_open: self.alarms_open().await?,
            alarms: self.alarms(true, LISTED_MAX).await?,
            objects_in_the_way: self.known_obstacles(&self.db.connection).await?,
            lease: lease::look(&self.db.connection)
                .await?
                .map(|status| LeaseView { beat_at: status.beat_ms.map(format_moment), status }),
            schema_changes: self.latest_schema_changes().await?,
            lag: self.lag().await?,
        })
    }

    async fn rates(&self, now_ms: i64) -> Result<Rates, SyncError> {
        use files::Column as C;
        let is_synced = || C::State.eq(FileState::Synced.name());
        let recent: Vec<(i64, DateTime<Utc>, Option<DateTime<Utc>>)> = files::Entity::find()
            .select_only()
            .columns([C::RowsRead, C::StartedAt, C::FinishedAt])
            .filter(is_synced())
            .order_by_desc(C::Id)
            .limit(RATE_FILES)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let rows: i64 = recent.iter().map(|(rows, ..)| rows).sum();
        let took = |(_, started, finished): &(i64, DateTime<Utc>, Option<DateTime<Utc>>)| {
            finished
                .map_or(TimeDelta::zero(), |finished| finished - *started)
                .max(TimeDelta::zero())
        };
        let seconds = recent.iter().map(took).sum::<TimeDelta>().num_milliseconds() as f64 / 1000.0;
        let hour_ago = self.db.dialect.time(Some(now_ms - TimeDelta::hours(1).num_milliseconds()));
        let in_hour = files::Entity::find()
            .filter(is_synced())
            .filter(Expr::col(C::FinishedAt).gte(hour_ago));
        Ok(Rates {
            rows_per_second: (seconds > 0.0).then(|| (rows as f64 / seconds).round()),
            files: recent.len() as u64,
            files_per_hour: in_hour.count(&self.db.connection).await?,
        })
    }

    async fn latest_files(&self) -> Result<Vec<LatestFile>, SyncError> {
        let latest = files::Entity::find().order_by_desc(files::Column::Id).limit(LATEST_MAX);
        let view = |file: files::Model| LatestFile {
            counts: crate::sink::ledger::files::counts_of(&file),
            started_at: format_moment(file.started_at.timestamp_millis()),
            elapsed_ms: file
                .finished_at
                .map(|finished| (finished - file.started_at).num_milliseconds()),
            path: file.path,
            dataset: file.dataset,
            market: file.market,
            state: file.state,
        };
        Ok(latest.all(&self.db.connection).await?.into_iter().map(view).collect())
    }

    async fn open_rejects(&self) -> Result<Vec<OpenRejects>, SyncError> {
        use rejects::Column as C;
        let by_file: Vec<(i64, i64, i64)> = rejects::Entity::find()
            .select_only()
            .column(C::FileId)
            .column_as(C::Id.count(), "rows")
            .column_as(C::Id.min(), "first")
            .filter(now::is_open_now())
            .group_by(C::FileId)
            .order_by_desc(C::FileId)
            .limit(LISTED_MAX)
            .into_tuple()
            .all(&self.db.connection)
            .await?;
        let paths: HashMap<i64, String> = files::Entity::find()
            .select_only()
            .columns([files::Column::Id, files::Column::Path])
            .filter(files::Column::Id.is_in(by_file.iter().map(|&(file_id, ..)| file_id)))
            .into_tuple::<(i64, String)>()
            .all(&self.db.connection)
            .await?
            .into_iter()
            .collect();
        let first =
            rejects::Entity::find().filter(C::Id.is_in(by_file.iter().map(|&(_, _, first)| first)));
        let reasons: HashMap<i64, String> = first
            .all(&self.db.connection)
            .await?
            .into_iter()
            .map(|reject| (reject.id, reject.reason))
            .collect();
        let view = |(file_id, rows, first): (i64, i64, i64)| OpenRejects {
            path: paths.get(&file_id).cloned().unwrap_or_default(),
            rows,
            reason: reasons.get(&first).cloned().unwrap_or_default(),
        };
        Ok(by_file.into_iter().map(view).collect())
    }

    /// Files in these states that exist and that nothing newer replaces.
    async fn stopped_files(
        &self,
        states: &[FileState],
        datasets: &[Arc<Dataset>],
    ) -> Result<Vec<StoppedFile>, SyncError> {
        use files::Column as C;
        let stopped = files::Entity::find()
            .filter(C::State.is_in(states.iter().map(|state| state.name())))
            .filter(now::counts_now(datasets))
            .order_by_desc(C::Id)
            .limit(LISTED_MAX);
        let view = |file: files::Model| StoppedFile {
            path: file.path,
            state: file.state,
            at: file.finished_at.map(|at| format_moment(at.timestamp_millis())),
            reason: file.error.unwrap_or_default(),
        };
        Ok(stopped.all(&self.db.connection).await?.into_iter().map(view).collect())
    }

    async fn latest_schema_changes(&self) -> Result<Vec<SchemaChangeView>, SyncError> {
        let latest = schema_changes::Entity::find()
            .order_by_desc(schema_changes::Column::Id)
            .limit(LATEST_MAX);
        let view = |change: schema_changes::Model| SchemaChangeView {
            table: change.table_name,
            column: change.column_name,
            kind: change.change_kind,
            old: change.old_type,
            new: change.new_type,
            at: format_moment(change.changed_at.timestamp_millis()),
        };
        Ok(latest.all(&self.db.connection).await?.into_iter().map(view).collect())
    }

    async fn lag(&self) -> Result<Vec<MartLag>, SyncError> {
        let marks = self.marks().await?;
        let view = |marks: Marks| MartLag {
            groups: marks.groups(),
            mart: marks.mart,
            market: marks.market,
        };
        Ok(marks.into_iter().map(view).collect())
    }
}
