//! Alarms: what a person should know. Each is raised once, kept up to date while its cause is
//! there, and cleared when that is gone.

use crate::config::Config;
use crate::error::SyncError;
use crate::sink::db::connect::connect;
use crate::sink::db::dialect::Dialect;
use crate::sink::ledger::Ledger;
use crate::values::moment::format_moment;
use chrono::{DateTime, Utc};
use entity::alarms::{Column as C, Entity, Model};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde::Serialize;
use serde_json::Value;

/// Most alarms that a list has. More are open only if nobody has looked for a long time.
pub const LISTED_MAX: u64 = 1000;

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// Stored rows break a declared rule.
    RuleBroken,
    /// A file stored rows with values that do not fit their column.
    ValuesRescued,
}

impl AlarmKind {
    /// Its name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RuleBroken => "rule_broken",
            Self::ValuesRescued => "values_rescued",
        }
    }
}

/// An alarm, as commands and HTTP show it.
#[derive(Clone, Debug, Serialize)]
pub struct Alarm {
    /// Its number, by which it is acknowledged.
    pub id: i64,
    /// What it is about.
    pub kind: String,
    /// The dataset.
    pub dataset: Option<String>,
    /// The market.
    pub market: Option<String>,
    /// The last file that showed it.
    pub file_id: Option<i64>,
    /// What it is, for people.
    pub message: String,
    /// Counts and examples.
    pub evidence: Value,
    /// When it was raised.
    pub raised_at: String,
    /// When its cause was gone.
    pub cleared_at: Option<String>,
    /// When somebody said that they know.
    pub acknowledged_at: Option<String>,
    /// Who.
    pub acknowledged_by: Option<String>,
}

/// Whether there is a cause for an alarm.
#[derive(Clone, Debug)]
pub struct AlarmCheck {
    /// What it is about.
    pub kind: AlarmKind,
    /// The dataset.
    pub dataset: String,
    /// What of the dataset, where several such alarms may be open: members of the evidence.
    pub subject: Vec<(&'static str, String)>,
    /// Whether it was asked of all that is stored, not of one file.
    pub is_of_tables: bool,
    /// What was found.
    pub answer: Answer,
}

/// What was found of an alarm's cause.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It could not be asked: the alarm stays as it is.
    Unknown,
    /// There is none.
    Free,
    /// There is one.
    Found(Cause),
}

/// Why an alarm is raised.
#[derive(Clone, Debug)]
pub struct Cause {
    /// For people.
    pub message: String,
    /// For programs: a JSON object, to which the subject is added.
    pub evidence: Value,
    /// Whether an open alarm already says more, because the file's faults stand in records that did
    /// not change and were not read.
    pub is_vague: bool,
}

/// What a file says of the alarms of its market.
#[derive(Clone, Debug, Default)]
pub struct AlarmChecks {
    /// The market.
    pub market: String,
    /// Every alarm that was asked for.
    pub checks: Vec<AlarmCheck>,
    /// Kinds of the dataset whose other alarms are no longer asked for, so that they clear.
    pub complete: Option<(String, Vec<AlarmKind>)>,
    /// Whether the file is a part of an export, such as a corrected copy: it clears no alarm of
    /// one.
    pub is_part: bool,
}

/// What became of an alarm, for the log.
#[derive(Debug)]
pub(crate) enum AlarmEvent {
    Raised { kind: &'static str, dataset: String, market: String, message: String },
    Cleared { kind: String, dataset: String, market: String, message: String },
}

impl AlarmEvent {
    /// Logs it, once it is in the ledger.
    pub(crate) fn log(&self) {
        match self {
            Self::Raised { kind, dataset, market, message } => {
                tracing::warn!(kind, dataset, market, "alarm: {message}");
            }
            Self::Cleared { kind, dataset, market, message } => {
                tracing::info!(kind, dataset, market, "alarm cleared: {message}");
            }
        }
    }
}

impl AlarmCheck {
    fn is_about(&self, open: &Model) -> bool {
        let evidence: Value = serde_json::from_str(&open.evidence).unwrap_or_default();
        let is_same =
            |(member, value): &(&'static str, String)| evidence[*member].as_str() == Some(value);
        open.kind == self.kind.name()
            && open.dataset.as_ref() == Some(&self.dataset)
            && self.subject.iter().all(is_same)
    }

    fn evidence(&self, cause: &Cause) -> String {
        let mut evidence = cause.evidence.clone();
        for (member, value) in &self.subject {
            evidence[*member] = value.as_str().into();
        }
        evidence.to_string()
    }
}

impl Ledger {
    /// Raises, updates and clears alarms in the transaction that finishes a file.
    pub(crate) async fn write_alarms(
        &self,
        connection: &impl ConnectionTrait,
        file_id: i64,
        asked: &AlarmChecks,
        now_ms: i64,
    ) -> Result<Vec<AlarmEvent>, SyncError> {
        let open =
            Entity::find().filter(C::ClearedAt.is_null()).filter(C::Market.eq(&*asked.market));
        let open: Vec<Model> = open.order_by_asc(C::Id).all(connection).await?;
        let mut events = Vec::new();
        for check in &asked.checks {
            let known = open.iter().find(|open| check.is_about(open));
            let is_settled = check.is_of_tables || !asked.is_part;
            match (known, &check.answer) {
                (None, Answer::Found(cause)) => {
                    self.raise_alarm(connection, file_id, check, &asked.market, cause, now_ms)
                        .await?;
                    events.push(AlarmEvent::Raised {
                        kind: check.kind.name(),
                        dataset: check.dataset.clone(),
                        market: asked.market.clone(),
                        message: cause.message.clone(),
                    });
                }
                (Some(known), Answer::Found(cause)) if is_settled => {
                    let mut update =
                        Entity::update_many().col_expr(C::FileId, Expr::value(file_id));
                    if !cause.is_vague {
                        update = update
                            .col_expr(C::Message, Expr::value(stored(&cause.message)))
                            .col_expr(C::Evidence, Expr::value(check.evidence(cause)));
                    }
                    update.filter(C::Id.eq(known.id)).exec(connection).await?;
                }
                (Some(known), Answer::Free) if is_settled => {
                    events.push(self.clear_alarm(connection, known, now_ms).await?);
                }
                _ => {}
            }
        }
        let Some((dataset, kinds)) = asked.complete.as_ref().filter(|_| !asked.is_part) else {
            return Ok(events);
        };
        let is_of = |open: &&Model| {
            open.dataset.as_ref() == Some(dataset)
                && kinds.iter().any(|kind| kind.name() == open.kind)
        };
        for known in open
            .iter()
            .filter(is_of)
            .filter(|open| !asked.checks.iter().any(|check| check.is_about(open)))
        {
            events.push(self.clear_alarm(connection, known, now_ms).await?);
        }
        Ok(events)
    }

    async fn raise_alarm(
        &self,
        connection: &impl ConnectionTrait,
        file_id: i64,
        check: &AlarmCheck,
        market: &str,
        cause: &Cause,
        now_ms: i64,
    ) -> Result<(), SyncError> {
        let columns =
            [C::Kind, C::Dataset, C::Market, C::FileId, C::Message, C::Evidence, C::RaisedAt];
        let insert = Query::insert()
            .into_table(Entity)
            .columns(columns)
            .values_panic([
                check.kind.name().into(),
                check.dataset.as_str().into(),
                market.into(),
                file_id.into(),
                stored(&cause.message).into(),
                check.evidence(cause).into(),
                self.db.dialect.time(Some(now_ms)).into(),
            ])
            .to_owned();
        connection.execute(&insert).await?;
        Ok(())
    }

    async fn clear_alarm(
        &self,
        connection: &impl ConnectionTrait,
        open: &Model,
        now_ms: i64,
    ) -> Result<AlarmEvent, SyncError> {
        let cleared_at = self.db.dialect.time(Some(now_ms));
        Entity::update_many()
            .col_expr(C::ClearedAt, Expr::value(cleared_at))
            .filter(C::Id.eq(open.id))
            .exec(connection)
            .await?;
        Ok(AlarmEvent::Cleared {
            kind: open.kind.clone(),
            dataset: open.dataset.clone().unwrap_or_default(),
            market: open.market.clone().unwrap_or_default(),
            message: open.message.clone(),
        })
    }

    /// Alarms, newest first and at most so many: the open ones, or all.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn alarms(&self, only_open: bool, alarms_max: u64) -> Result<Vec<Alarm>, SyncError> {
        let mut found = Entity::find().order_by_desc(C::Id).limit(alarms_max);
        if only_open {
            found = found.filter(C::ClearedAt.is_null());
        }
        Ok(found.all(&self.db.connection).await?.into_iter().map(Alarm::from).collect())
    }

    /// Number of open alarms by kind, dataset and market, of the first [`LISTED_MAX`] of these.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn open_alarms_by_kind(&self) -> Result<Vec<OpenAlarms>, SyncError> {
        let labels = [C::Kind, C::Dataset, C::Market];
        let mut found =
            Entity::find().select_only().columns(labels).column_as(C::Id.count(), "number");
        for label in labels {
            found = found.group_by(label).order_by_asc(label);
        }
        let found = found.filter(C::ClearedAt.is_null()).limit(LISTED_MAX);
        Ok(found.into_model().all(&self.db.connection).await?)
    }

    /// Number of open alarms.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn alarms_open(&self) -> Result<u64, SyncError> {
        Ok(Entity::find().filter(C::ClearedAt.is_null()).count(&self.db.connection).await?)
    }
}

/// Number of open alarms of a kind, dataset and market.
#[derive(Clone, Debug, FromQueryResult)]
pub struct OpenAlarms {
    /// The kind.
    pub kind: String,
    /// The dataset.
    pub dataset: Option<String>,
    /// The market.
    pub market: Option<String>,
    /// How many.
    pub number: i64,
}

/// Notes that somebody knows of an alarm; `false` if there is no such alarm. It needs no lease.
///
/// # Errors
///
/// When the database fails.
pub async fn acknowledge(
    config: &Config,
    id: i64,
    who: &str,
    now_ms: i64,
) -> Result<bool, SyncError> {
    let connection = connect(config).await?;
    let dialect = Dialect::of(connection.get_database_backend());
    let found = Entity::find_by_id(id).one(&connection).await;
    let update = Entity::update_many()
        .col_expr(C::AcknowledgedAt, Expr::value(dialect.time(Some(now_ms))))
        .col_expr(C::AcknowledgedBy, Expr::value(who))
        .filter(C::Id.eq(id))
        .filter(C::AcknowledgedAt.is_null());
    let acknowledged = update.exec(&connection).await;
    connection.close_by_ref().await?;
    acknowledged?;
    Ok(found?.is_some())
}

impl From<Model> for Alarm {
    fn from(alarm: Model) -> Self {
        let text = |at: DateTime<Utc>| format_moment(at.timestamp_millis());
        Self {
            id: alarm.id,
            kind: alarm.kind,
            dataset: alarm.dataset,
            market: alarm.market,
            file_id: alarm.file_id,
            message: alarm.message,
            evidence: serde_json::from_str(&alarm.evidence).unwrap_or_default(),
            raised_at: text(alarm.raised_at),
            cleared_at: alarm.cleared_at.map(text),
            acknowledged_at: alarm.acknowledged_at.map(text),
            acknowledged_by: alarm.acknowledged_by,
        }
    }
}

/// PostgreSQL stores no NUL in text; JSON escapes it.
fn stored(message: &str) -> String {
    message.replace('\0', "\\x00")
}
