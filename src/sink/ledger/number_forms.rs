//! Number forms: how the numbers of a column are written in the files of a dataset and market, as
//! far as earlier files proved it.

use crate::error::SyncError;
use crate::feed::number_form::{NumberForm, NumberForms};
use crate::sink::ledger::Ledger;
use crate::values::number::DecimalSign;
use entity::number_forms;
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

impl Ledger {
    /// The number forms that earlier files proved.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn number_forms(
        &self,
        dataset: &str,
        market: &str,
    ) -> Result<NumberForms, SyncError> {
        use number_forms::Column as C;
        let rows = number_forms::Entity::find()
            .filter(C::Dataset.eq(dataset))
            .filter(C::Market.eq(market))
            .order_by_asc(C::Id)
            .all(&self.db.connection)
            .await?;
        let mut forms = NumberForms::new();
        for row in rows {
            let form = forms.entry(row.column_name).or_default();
            // Each line adds only what earlier lines left open.
            if form.decimal.is_none() {
                form.decimal = row.decimal_sign.as_deref().and_then(DecimalSign::of);
                form.file_id = row.file_id;
            }
            form.currency = form.currency.take().or(row.currency);
        }
        Ok(forms)
    }

    /// Stores what this file is the first to prove.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn record_number_forms(
        &self,
        dataset: &str,
        market: &str,
        forms: &[(String, NumberForm)],
        now_ms: i64,
    ) -> Result<(), SyncError> {
        use number_forms::Column as C;
        if forms.is_empty() {
            return Ok(());
        }
        let columns = [
            C::Dataset,
            C::Market,
            C::ColumnName,
            C::DecimalSign,
            C::Currency,
            C::FileId,
            C::ProvedAt,
        ];
        let mut insert =
            Query::insert().into_table(number_forms::Entity).columns(columns).to_owned();
        for (column, form) in forms {
            insert.values_panic([
                dataset.into(),
                market.into(),
                column.as_str().into(),
                form.decimal.map(|sign| sign.as_str().to_owned()).into(),
                form.currency.clone().into(),
                form.file_id.into(),
                self.db.dialect.time(Some(now_ms)).into(),
            ]);
        }
        let write = self.db.begin().await?;
        write.transaction.execute(&insert).await?;
        write.commit().await
    }
}
