//! Marks: the groups and parts of marts that are to be computed anew, as the ledger has them.

use crate::error::SyncError;
use crate::sink::ledger::Ledger;
use entity::dirty_groups;
use entity::dirty_groups::Column as Mark;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryOrder, QuerySelect};

/// Marks of one mart and market.
#[derive(FromQueryResult)]
pub(crate) struct Marks {
    pub mart: String,
    pub market: String,
    pub last_id: i64,
    pub marks: i64,
    pub group_marks: i64,
}

impl Marks {
    /// How many marks there are of groups or parts; `None` when the market is marked as a whole.
    pub fn groups(&self) -> Option<i64> {
        (self.group_marks == self.marks).then_some(self.marks)
    }
}

impl Ledger {
    /// What is marked of the marts, in the order of their names and of the markets.
    pub(crate) async fn marks(&self) -> Result<Vec<Marks>, SyncError> {
        let marks = dirty_groups::Entity::find()
            .select_only()
            .columns([Mark::Mart, Mark::Market])
            .column_as(Mark::Id.max(), "last_id")
            .column_as(Mark::Id.count(), "marks")
            .column_as(Mark::GroupKey.count(), "group_marks")
            .group_by(Mark::Mart)
            .group_by(Mark::Market)
            .order_by_asc(Mark::Mart)
            .order_by_asc(Mark::Market);
        Ok(marks.into_model().all(&self.db.connection).await?)
    }
}
