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
            let sign = row.decimal_sign.as_deref().unwrap_or_default();
            let (proved, taken) = (DecimalSign::of(sign), taken_sign(sign));
            let is_first = form.taken.is_none();
            if form.decimal.is_none() && (proved.is_some() || is_first) {
                form.decimal = proved;
                form.file_id = row.file_id;
            }
            form.taken = form.taken.or(taken);
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
                written_sign(form).into(),
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

/// How the ledger writes the sign of a form: as it is if the column's own values proved it, and in
/// brackets if the column took it from others.
fn written_sign(form: &NumberForm) -> Option<String> {
    let proved = form.decimal.map(|sign| sign.as_str().to_owned());
    proved.or_else(|| form.taken.map(|sign| format!("({})", sign.as_str())))
}

/// The sign in such brackets.
fn taken_sign(written: &str) -> Option<DecimalSign> {
    DecimalSign::of(written.strip_prefix('(')?.strip_suffix(')')?)
}
