//! Obstacles: what stands in the way of a change that files or definitions need, most often somebody's object. Everything
//! else goes on; the ledger has it for `status`, and it goes by itself once the change can be made.

use crate::error::SyncError;
use crate::sink::ledger::Ledger;
use crate::values::moment::format_moment;
use chrono::Utc;
use entity::obstacles::{Column, Entity, Model};
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The obstacles that are known, by what they are about.
pub(crate) type Obstacles = Mutex<BTreeMap<String, Obstacle>>;

/// Something that stays as it is although it should change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// What stays as it is: `table.column`, a view, or a mart.
    pub about: String,
    /// Whose objects stand in the way; empty when only the database's reason is known.
    pub object: String,
    /// Why, and what becomes of the data meanwhile.
    pub reason: String,
    /// What takes the objects out of the way, as SQL; empty when nothing is known to.
    pub run: String,
    /// Since when.
    pub since: String,
}

impl Obstacle {
    /// One that a failed change met, with what is built on what was to change.
    pub(crate) fn new(about: String, consequence: &str, error: &SyncError, objects: &[Dependent]) -> Self {
        let list = |part: fn(&Dependent) -> &str, separator: &str| {
            let parts: Vec<&str> = objects.iter().map(part).filter(|part| !part.is_empty()).collect();
            parts.join(separator)
        };
        Self {
            about,
            object: list(|dependent| &dependent.object, ", "),
            reason: format!("{consequence} ({error})").replace('\0', "\\x00"),
            run: list(|dependent| &dependent.run, "; "),
            since: format_moment(Utc::now().timestamp_millis()),
        }
    }
}

/// Something that depends on a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependent {
    /// What it is, and its name.
    pub object: String,
    /// The statement that takes it out of the way.
    pub run: String,
    /// The view, where it is one that tidegate makes itself.
    pub own_view: Option<String>,
    /// Whether it is of the kinds that never let a column change, whatever it changes to.
    pub is_firm: bool,
}

impl Ledger {
    /// Reads what the ledger knows, also when a transaction that changed it may have failed.
    pub(crate) async fn load_obstacles(&self) -> Result<(), SyncError> {
        let known = self.known_obstacles(&self.db.connection).await?;
        *self.obstacles() = known.into_iter().map(|obstacle| (obstacle.about.clone(), obstacle)).collect();
        Ok(())
    }

    /// Forgets what stood in the way of marts and views that nobody defines any more.
    pub(crate) async fn forget_obstacles_of_others(&self, defined: &[&String]) -> Result<(), SyncError> {
        for about in self.obstacles_about() {
            if !about.contains('.') && !defined.contains(&&about) {
                self.clear(&self.db.connection, &about).await?;
            }
        }
        Ok(())
    }

    /// What the ledger knows.
    pub(crate) async fn known_obstacles(&self, connection: &impl ConnectionTrait) -> Result<Vec<Obstacle>, SyncError> {
        let known = Entity::find().order_by_asc(Column::About).all(connection).await?;
        let obstacle = |model: Model| Obstacle {
            about: model.about,
            object: model.object,
            reason: model.reason,
            run: model.run,
            since: format_moment(model.raised_at.timestamp_millis()),
        };
        Ok(known.into_iter().map(obstacle).collect())
    }

    /// Whether anything is known to stand in the way of that.
    pub(crate) fn has_obstacle(&self, about: &str) -> bool {
        self.obstacles().contains_key(about)
    }

    /// What is known to stand in the way of that.
    pub(crate) fn obstacle(&self, about: &str) -> Option<Obstacle> {
        self.obstacles().get(about).cloned()
    }

    /// What is known to stand in the way of anything.
    pub(crate) fn obstacles_about(&self) -> Vec<String> {
        self.obstacles().keys().cloned().collect()
    }

    /// Notes an obstacle, and says it once.
    pub(crate) async fn raise(&self, connection: &impl ConnectionTrait, obstacle: Obstacle) -> Result<(), SyncError> {
        let Obstacle { about, object, reason, run, .. } = obstacle.clone();
        let is_same = |known: &Obstacle| (&known.object, &known.reason) == (&object, &reason);
        if self.obstacles().get(&about).is_some_and(is_same) {
            return Ok(());
        }
        tracing::warn!(about, object, reason, run, "something stands in the way");
        let mut insert = Query::insert();
        insert
            .into_table(Entity)
            .columns([Column::About, Column::Object, Column::Reason, Column::Run, Column::RaisedAt])
            .values_panic([
                about.as_str().into(),
                object.into(),
                reason.into(),
                run.into(),
                self.db.dialect.time(Some(Utc::now().timestamp_millis())).into(),
            ])
            .on_conflict(
                OnConflict::column(Column::About)
                    .update_columns([Column::Object, Column::Reason, Column::Run])
                    .to_owned(),
            );
        connection.execute(&insert).await?;
        self.obstacles().insert(about, obstacle);
        Ok(())
    }

    /// Notes that nothing stands in the way of that any more.
    pub(crate) async fn clear(&self, connection: &impl ConnectionTrait, about: &str) -> Result<(), SyncError> {
        if !self.has_obstacle(about) {
            return Ok(());
        }
        tracing::info!(about, "nothing stands in the way any more");
        Entity::delete_many().filter(Column::About.eq(about)).exec(connection).await?;
        self.obstacles().remove(about);
        Ok(())
    }

    fn obstacles(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Obstacle>> {
        self.obstacles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
