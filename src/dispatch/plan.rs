//! Plan: computes what a sync of some files would do. It syncs them into a scratch database in the
//! state directory, which holds a copy of the rows of their markets. It uses the same code as a
//! real sync, so the plan and the sync cannot differ. The scratch database is removed when the plan
//! is made.

use crate::config::{Config, Limits};
use crate::dispatch::lanes::{in_order_of_versions, lanes_of};
use crate::dispatch::retry::{Patience, Tried, look_at_database, sync_patiently, unknown_report};
use crate::dispatch::unseen::matching;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::{Layout, LayoutColumn, Role, SchemaChange, Shapes};
use crate::feed::row_format::RowFormat;
use crate::feed::rules::BrokenRule;
use crate::process::modes::make_folders;
use crate::process::progress::Board;
use crate::process::turns::Turn;
use crate::sink::Sink;
use crate::sink::scratch::{
    Columns, EXAMPLES_MAX, Example, PlannedChange, RejectExample, TotalKey,
};
use crate::source::find::blind_spots::Places;
use crate::source::find::scan::SourceFile;
use crate::source::format::Format;
use crate::source::rows::repaired::{RepairedRow, repaired_rows};
use crate::source::survey::{Survey, survey};
use crate::source::text::{Text, read_text};
use crate::sync::checkpoint::Checkpoints;
use crate::sync::report::{FileReport, Outcome};
use crate::sync::rule_pass::{RulePass, SurveyedFile};
use crate::sync::session::{Session, blocking};
use crate::sync::take::hash_in_turn;
use crate::sync::unmatched::settle_dataset;
use crate::values::number::Decimals;
use entity::{ColumnShape, Kind};
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The scratch database is a local file and never away, so nothing is tried again.
const PATIENCE: Patience = Patience::Limited(Duration::ZERO);

/// The effects that a sync of some files would have.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The effects of each file, in the order in which the files would be synced.
    pub files: Vec<PlannedFile>,
    /// Totals of mart columns that would change.
    pub totals: Vec<TotalChange>,
    /// Paths that cannot be read and are skipped.
    pub unread: Places,
}

/// The effects of one file, after the files before it.
#[derive(Debug, Serialize)]
pub struct PlannedFile {
    /// The report that the sync would print.
    #[serde(flatten)]
    pub report: FileReport,
    /// The format of the file, for people; `None` if it was not read.
    pub format: Option<String>,
    /// Datasets whose paths match, if there are several: the first takes the file.
    pub matching: Vec<String>,
    /// The columns of the file, in their order.
    pub columns: Vec<PlannedColumn>,
    /// Columns that the configuration declares, and that the file does not have under any of their
    /// names.
    pub absent: Vec<String>,
    /// Columns of tables that would be added or widened.
    pub schema_changes: Vec<PlannedChange>,
    /// The first rows of each table that would be new, modified or deleted.
    pub examples: Vec<Example>,
    /// The first rows that cannot be loaded.
    pub rejects: Vec<RejectExample>,
    /// The first rows whose shifted cells would be repaired.
    pub repairs: Vec<RepairedRow>,
}

/// A column of a file.
#[derive(Debug, Serialize)]
pub struct PlannedColumn {
    /// Name of the column in the file.
    pub name: String,
    /// Name of the column in the table.
    pub column: String,
    /// The table that the column belongs to.
    pub table: String,
    /// The kind of the column in the table.
    pub kind: &'static str,
    /// Why it is of that kind.
    pub why: &'static str,
}

/// A total of a mart column before and after a sync.
#[derive(Debug, Serialize)]
pub struct TotalChange {
    /// Name of the mart.
    pub mart: String,
    /// Name of the market.
    pub market: String,
    /// Currency of the total, if the mart has one.
    pub currency_symbol: Option<String>,
    /// Name of the mart column.
    pub column: String,
    /// Sum over all groups now.
    pub before: Decimal,
    /// Sum over all groups after the sync.
    pub after: Decimal,
}

/// Syncs these files into a scratch database, and returns the effects.
///
/// # Errors
///
/// When the database or the state directory fails, or the process must end.
pub async fn plan(
    config: &Config,
    files: Vec<SourceFile>,
    shutdown: &CancellationToken,
) -> Result<Plan, SyncError> {
    let state_dir = StateDir::make(&config.state_dir)?;
    let directory = state_dir.scratch()?;
    let scratch_config = config.for_scratch(directory.path());
    let markets = markets_of(&files);
    let filled = look_at_database(config, async |source| {
        let sink = empty_scratch(&scratch_config, shutdown).await?;
        sink.copy_markets(source, &markets, &scratch_config.datasets).await?;
        Ok(sink)
    });
    let sink = match filled.await {
        Ok(Some(sink)) => sink,
        Ok(None) => empty_scratch(&scratch_config, shutdown).await?,
        // A sync would create the database.
        Err(SyncError::NoDatabase { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            empty_scratch(&scratch_config, shutdown).await?
        }
        Err(error) => return Err(error),
    };
    let checkpoints = Checkpoints::open(&scratch_config.state_dir)?;
    let config = Arc::new(scratch_config);
    let session =
        Session::new(config, checkpoints, Arc::new(sink), Board::default(), shutdown.clone());
    let turn = session.turns.turn();
    turn.begin().await;
    let before = session.sink.totals_of_marts().await?;
    let mut planned = Vec::new();
    for (lane, files) in lanes_of(files) {
        let files = match lane {
            None => files,
            Some(_) => in_order_of_versions(&session, PATIENCE, files).await?,
        };
        for file in files {
            if shutdown.is_cancelled() {
                return Err(SyncError::Stopped);
            }
            planned.push(plan_file(&session, &turn, &file).await?);
        }
    }
    let totals = changes(&before, &session.sink.totals_of_marts().await?);
    Ok(Plan { files: planned, totals, unread: Places::default() })
}

/// Creates an empty scratch database.
async fn empty_scratch(
    scratch_config: &Config,
    shutdown: &CancellationToken,
) -> Result<Sink, SyncError> {
    // An attempt that failed in the middle may have left some files.
    for entry in std::fs::read_dir(&scratch_config.state_dir)
        .map_err(|error| failed(scratch_config, error))?
    {
        let path = entry.map_err(|error| failed(scratch_config, error))?.path();
        if path.is_file() {
            std::fs::remove_file(&path).map_err(|error| SyncError::state(&path, error))?;
        }
    }
    Box::pin(Sink::open(scratch_config, shutdown)).await
}

fn failed(scratch_config: &Config, error: std::io::Error) -> SyncError {
    SyncError::state(&scratch_config.state_dir, error)
}

async fn plan_file(
    session: &Session,
    turn: &Arc<Turn>,
    source_file: &SourceFile,
) -> Result<PlannedFile, SyncError> {
    let before = session.sink.tables.shapes();
    let looked = match &source_file.route {
        None => None,
        // A file that cannot be read cannot be described either; its report says why.
        Some((dataset, _)) => look(session, turn, source_file, dataset).await.ok(),
    };
    let widened = looked.as_ref().map(Looked::widened).unwrap_or_default();
    let ledger_end = session.sink.note_examples(&widened).await?;
    let report = match sync_patiently(session, turn, source_file, PATIENCE).await? {
        Tried::Ended(report) => *report,
        Tried::Later => {
            let reason = SyncError::changed_while_read(&source_file.path).to_string();
            unknown_report(source_file, Outcome::Failed, reason, Instant::now())
        }
    };
    let after = session.sink.tables.shapes();
    let looked = looked.filter(|_| report.outcome != Outcome::Unchanged);
    let report = match &looked {
        Some(looked) if report.outcome == Outcome::Quarantined => {
            FileReport { rules: looked.rules(session).await.unwrap_or_default(), ..report }
        }
        _ => report,
    };
    let matching = matching(&source_file.path_text(), &session.config.datasets);
    Ok(PlannedFile {
        matching: if matching.len() > 1 { matching } else { Vec::new() },
        format: looked.as_ref().map(|looked| looked.format.to_string()),
        columns: looked
            .as_ref()
            .map(|looked| columns(&looked.layout, &looked.dataset, &before, &after))
            .unwrap_or_default(),
        absent: looked
            .as_ref()
            .map(|looked| absent(&looked.layout, &looked.dataset))
            .unwrap_or_default(),
        schema_changes: session.sink.changes_after(ledger_end).await?,
        examples: session.sink.examples(&before, &widened).await?,
        rejects: session.sink.rejects_after(ledger_end).await?,
        repairs: match looked {
            Some(looked) if report.counts.repaired > 0 => {
                looked.repairs(session.config.limits.clone(), report.counts.repaired).await?
            }
            _ => Vec::new(),
        },
        report,
    })
}

/// A file after its survey, with what a plan shows of it.
struct Looked {
    text: Arc<Text>,
    survey: Arc<Survey>,
    format: Format,
    layout: Arc<Layout>,
    dataset: Arc<Dataset>,
    /// Columns of tables that the file would add or widen.
    changes: Vec<SchemaChange>,
}

async fn look(
    session: &Session,
    turn: &Turn,
    source_file: &SourceFile,
    dataset: &Arc<Dataset>,
) -> Result<Looked, SyncError> {
    let dataset = settle_dataset(session, turn, source_file, dataset).await?;
    let market = source_file.route.as_ref().map_or("", |(_, route)| route.market.as_str());
    let number_forms = session.sink.ledger.number_forms(&dataset.name, market).await?;
    let dataset = Arc::new(dataset.with_number_forms(number_forms));
    let (content, _) = hash_in_turn(session, turn, source_file).await?;
    let (config, shapes) = (Arc::clone(&session.config), session.sink.tables.shapes());
    blocking(move || {
        let text = read_text(content, &dataset, None, &config.limits, &config.state_dir)?;
        let (survey, layout) = survey(&text, &dataset, &shapes, &config.limits)?;
        let changes = layout.reconcile(&dataset, &shapes);
        let (text, format, survey) = (Arc::new(text), survey.format, Arc::new(survey));
        Ok(Looked { text, survey, format, layout: Arc::new(layout), dataset, changes })
    })
    .await
}

impl Looked {
    /// Columns whose kind the file would change.
    fn widened(&self) -> Columns {
        let widened = self.changes.iter().filter(|change| change.widened_from.is_some());
        widened.map(|change| (change.table.clone(), change.column.name.clone())).collect()
    }

    /// How often each rule is broken, by a file that is refused.
    async fn rules(&self, session: &Session) -> Result<Vec<BrokenRule>, SyncError> {
        if !self.dataset.has_rules() {
            return Ok(Vec::new());
        }
        let (text, survey, layout) =
            (Arc::clone(&self.text), Arc::clone(&self.survey), Arc::clone(&self.layout));
        let (dataset, config) = (Arc::clone(&self.dataset), Arc::clone(&session.config));
        blocking(move || {
            let (content, layout, limits) = (&text.content, &layout, &config.limits);
            let pass = RulePass::over(SurveyedFile {
                content,
                layout,
                survey: &survey,
                dataset: &dataset,
                limits,
            })?;
            Ok(pass.faults.by_rule(&dataset))
        })
        .await
    }

    /// The first rows with repaired cells, at most [`EXAMPLES_MAX`].
    async fn repairs(
        self,
        limits: Limits,
        rows_repaired: u64,
    ) -> Result<Vec<RepairedRow>, SyncError> {
        let rows_max = usize::try_from(rows_repaired.min(EXAMPLES_MAX)).expect("a few");
        let Self { text, format, layout, dataset, .. } = self;
        blocking(move || {
            let RowFormat::Csv(dialect) = format.rows else { return Ok(Vec::new()) };
            repaired_rows(
                &text.content,
                dialect,
                &layout,
                &dataset,
                limits.field_bytes_max,
                rows_max,
            )
        })
        .await
    }
}

fn columns(
    layout: &Layout,
    dataset: &Dataset,
    before: &Shapes,
    after: &Shapes,
) -> Vec<PlannedColumn> {
    let planned = layout.all().filter_map(|column| {
        let table = match column.role {
            Role::Padding | Role::Note | Role::Ignored => return None,
            Role::Key(_) => &dataset.table,
            Role::Column(owner) => dataset.table_of(owner),
        };
        let [before, after] = [before, after]
            .map(|shapes| shapes.get(table).and_then(|shape| shape.column(&column.name)));
        Some(PlannedColumn {
            name: column.raw_name.clone(),
            column: column.name.clone(),
            table: table.to_owned(),
            kind: after.map(|stored| stored.kind).or(column.kind).unwrap_or(Kind::Text).name(),
            why: why(column, before),
        })
    });
    planned.collect()
}

/// Why a column is of its kind.
fn why(column: &LayoutColumn, stored: Option<&ColumnShape>) -> &'static str {
    let has_decimals = matches!(column.kind, Some(Kind::Decimal | Kind::Double));
    let is_proved =
        has_decimals && matches!(column.rules.decimals, Decimals::Point | Decimals::Comma);
    match stored {
        _ if matches!(column.role, Role::Key(_)) => "the key",
        _ if column.declared.as_ref().is_some_and(|declared| declared.kind().is_some()) => {
            "declared"
        }
        Some(stored) if stored.is_declared => "as its table has it",
        Some(stored) if !stored.is_empty && Some(stored.kind) == column.kind => {
            "as in earlier files"
        }
        _ if column.kind.is_none() => "no value so far",
        _ if is_proved => "its values, whose decimal sign is known",
        _ => "its values",
    }
}

/// Columns that the configuration declares, and that a file does not have.
fn absent(layout: &Layout, dataset: &Dataset) -> Vec<String> {
    let is_absent = |name: &&String| !layout.all().any(|column| column.name == **name);
    dataset.own_columns.iter().filter(is_absent).cloned().collect()
}

fn markets_of(files: &[SourceFile]) -> Vec<String> {
    let markets: BTreeSet<&String> =
        files.iter().filter_map(|file| Some(&file.route.as_ref()?.1.market)).collect();
    markets.into_iter().cloned().collect()
}

/// Totals that differ. A missing total counts as 0.
fn changes(
    before: &BTreeMap<TotalKey, Decimal>,
    after: &BTreeMap<TotalKey, Decimal>,
) -> Vec<TotalChange> {
    let keys: BTreeSet<&TotalKey> = before.keys().chain(after.keys()).collect();
    let sum = |totals: &BTreeMap<TotalKey, Decimal>, key: &TotalKey| {
        totals.get(key).copied().unwrap_or_default()
    };
    let change = |key: &TotalKey| TotalChange {
        mart: key.mart.clone(),
        market: key.market.clone(),
        currency_symbol: key.currency.clone(),
        column: key.column.clone(),
        before: sum(before, key),
        after: sum(after, key),
    };
    keys.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

/// The state directory. If it does not exist, it is created, and removed again on drop.
struct StateDir {
    path: PathBuf,
    is_new: bool,
}

impl StateDir {
    fn make(path: &Path) -> Result<Self, SyncError> {
        let is_new = !path.exists();
        make_folders(path).map_err(|error| SyncError::state(path, error))?;
        Ok(Self { path: path.to_owned(), is_new })
    }

    /// Creates a directory in the state directory that is removed on drop.
    fn scratch(&self) -> Result<TempDir, SyncError> {
        let scratch = tempfile::Builder::new().prefix("plan-").tempdir_in(&self.path);
        scratch.map_err(|error| SyncError::state(&self.path, error))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if self.is_new {
            // If another process has put a file into it in the meantime, the directory stays.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}
