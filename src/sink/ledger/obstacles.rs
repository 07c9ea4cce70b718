//! Obstacles: what prevents a change that files or definitions need, most often an object that
//! somebody built. All other work continues. The ledger keeps obstacles for `status`; an obstacle
//! disappears once the change can be made.

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

/// The known obstacles, by subject.
pub(crate) type Obstacles = Mutex<BTreeMap<String, Obstacle>>;

/// Why something cannot change as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The subject that cannot change: `table.column`, a view, or a mart.
    pub about: String,
    /// The objects that prevent the change; empty if only the database's reason is known.
    pub object: String,
    /// The reason, and what happens to the data until then.
    pub reason: String,
    /// SQL that removes the objects; empty if none is known.
    pub run: String,
    /// When it was first met.
    pub since: String,
}

impl Obstacle {
    /// Describes an obstacle of a failed change, with the objects that depend on its subject.
    pub(crate) fn new(
        about: String,
        consequence: &str,
        error: &SyncError,
        objects: &[Dependent],
    ) -> Self {
        let list = |part: fn(&Dependent) -> &str, separator: &str| {
            let parts: Vec<&str> =
                objects.iter().map(part).filter(|part| !part.is_empty()).collect();
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

/// An object that depends on a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependent {
    /// Its type and name.
    pub object: String,
    /// The statement that removes it.
    pub run: String,
    /// Its name, if it is a view that tidegate makes itself.
    pub own_view: Option<String>,
    /// Whether it prevents every change of the column's type.
    pub is_firm: bool,
}

impl Ledger {
    /// Loads the obstacles from the ledger, also after a transaction that changed them may have
    /// failed.
    pub(crate) async fn load_obstacles(&self) -> Result<(), SyncError> {
        let known = self.known_obstacles(&self.db.connection).await?;
        *self.obstacles() =
            known.into_iter().map(|obstacle| (obstacle.about.clone(), obstacle)).collect();
        Ok(())
    }

    /// Removes obstacles of marts and views that are no longer defined.
    pub(crate) async fn forget_obstacles_of_others(
        &self,
        defined: &[&String],
    ) -> Result<(), SyncError> {
        for about in self.obstacles_about() {
            if !about.contains('.') && !defined.contains(&&about) {
                self.clear(&self.db.connection, &about).await?;
            }
        }
        Ok(())
    }

    /// The obstacles in the ledger.
    pub(crate) async fn known_obstacles(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Vec<Obstacle>, SyncError> {
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

    /// Whether a subject has a known obstacle.
    pub(crate) fn has_obstacle(&self, about: &str) -> bool {
        self.obstacles().contains_key(about)
    }

    /// The known obstacle of a subject.
    pub(crate) fn obstacle(&self, about: &str) -> Option<Obstacle> {
        self.obstacles().get(about).cloned()
    }

    /// All known obstacles.
    pub(crate) fn obstacles_about(&self) -> Vec<String> {
        self.obstacles().keys().cloned().collect()
    }

    /// Stores an obstacle, and logs it once.
    pub(crate) async fn raise(
        &self,
        connection: &impl ConnectionTrait,
        obstacle: Obstacle,
    ) -> Result<(), SyncError> {
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

    /// Removes the obstacle of a subject.
    pub(crate) async fn clear(
        &self,
        connection: &impl ConnectionTrait,
        about: &str,
    ) -> Result<(), SyncError> {
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
