//! Markets: which ones files have had.

use crate::error::SyncError;
use crate::sink::ledger::Ledger;
use entity::files;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

impl Ledger {
    /// Some of the markets that files have had, up to a maximum number.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn markets(&self, markets_max: u64) -> Result<Vec<String>, SyncError> {
        let markets = files::Entity::find()
            .select_only()
            .column(files::Column::Market)
            .distinct()
            .filter(files::Column::Market.is_not_null())
            .order_by_asc(files::Column::Market)
            .limit(markets_max);
        Ok(markets.into_tuple().all(&self.db.connection).await?)
    }

    /// Whether any file had this market.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn has_market(&self, market: &str) -> Result<bool, SyncError> {
        let of_market = files::Entity::find()
            .select_only()
            .column(files::Column::Id)
            .filter(files::Column::Market.eq(market));
        Ok(of_market.into_tuple::<i64>().one(&self.db.connection).await?.is_some())
    }
}
