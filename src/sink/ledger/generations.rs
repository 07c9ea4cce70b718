//! Generations: the name of the commit that last changed the rows of a table and market. A record
//! index of these rows is valid as long as this name is the one that it was made under.

use crate::error::SyncError;
use crate::sink::ledger::Ledger;
use entity::generations;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A unique name for a commit, across all databases: a backup that is restored later must never
/// repeat a name that was used since.
pub fn new_generation() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{}", now.as_nanos(), std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Ledger {
    /// The generation of a table's rows of a market; `None` before the first commit.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn generation(&self, table: &str, market: &str) -> Result<Option<String>, SyncError> {
        let key = (table.to_owned(), market.to_owned());
        let row = generations::Entity::find_by_id(key).one(&self.db.connection).await?;
        Ok(row.map(|row| row.generation))
    }

    /// Stores a new generation, in the transaction that changes the rows.
    pub(crate) async fn begin_generation(
        &self,
        connection: &impl ConnectionTrait,
        table: &str,
        market: &str,
        generation: &str,
    ) -> Result<(), SyncError> {
        generations::Entity::insert(generation_row(table, market, generation))
            .on_conflict(renaming())
            .exec_without_returning(connection)
            .await?;
        Ok(())
    }
}

/// The row that names a generation.
pub(crate) fn generation_row(
    table: &str,
    market: &str,
    generation: &str,
) -> generations::ActiveModel {
    generations::ActiveModel {
        table_name: Set(table.to_owned()),
        market: Set(market.to_owned()),
        generation: Set(generation.to_owned()),
    }
}

/// What becomes of the name before.
pub(crate) fn renaming() -> OnConflict {
    use generations::Column as C;
    OnConflict::columns([C::TableName, C::Market]).update_column(C::Generation).to_owned()
}
