//! Checks the `_file_id` of rows against the ledger. The database finds the wrong ones, so memory
//! does not grow with the number of files that wrote to a table.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sink::Sink;
use crate::verify::{Check, Difference, EXAMPLES_MAX};
use entity::{TableShape, files};
use futures_util::TryStreamExt;
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait, JoinType, Query};
use sea_orm::{ConnectionTrait, DatabaseTransaction, StreamTrait};
use std::sync::Arc;

/// Rows of a market whose `_file_id` names a file that cannot have written them.
struct WrongWriter {
    market: String,
    file_id: i64,
    rows: u64,
    /// Market of that file, if it is in the ledger.
    file_market: Option<String>,
    is_there: bool,
}

impl Sink {
    /// Checks that the files in `_file_id` exist, with the same dataset and market as the rows.
    pub(crate) async fn verify_writers(
        &self,
        snapshot: &DatabaseTransaction,
        shape: &TableShape,
        datasets: &[Arc<Dataset>],
        rows: u64,
    ) -> Result<Check, SyncError> {
        use files::Column as C;
        let mut check = Check { checked: rows, ..Check::of(&shape.name, "files of rows") };
        let is_of = |dataset: &&Arc<Dataset>| {
            dataset.table == shape.name
                || dataset.lines.as_ref().is_some_and(|lines| lines.table == shape.name)
        };
        let feeds: Vec<&str> =
            datasets.iter().filter(is_of).map(|dataset| dataset.name.as_str()).collect();
        let of_row = |name: &str| Expr::col((Alias::new(&shape.name), Alias::new(name)));
        let of_file = |column: C| Expr::col((files::Entity, column));
        let mut is_wrong = Condition::any()
            .add(of_file(C::Market).is_null())
            .add(of_file(C::Market).ne(of_row("market")));
        // The tables of a dataset that is no longer configured are unknown.
        if !feeds.is_empty() {
            is_wrong = is_wrong
                .add(of_file(C::Dataset).is_null())
                .add(of_file(C::Dataset).is_not_in(feeds.iter().copied()));
        }
        let (market, file_id) = (
            (Alias::new(&shape.name), Alias::new("market")),
            (Alias::new(&shape.name), Alias::new("_file_id")),
        );
        let mut query = Query::select();
        query
            .column(market.clone())
            .column(file_id.clone())
            .expr(of_row("_file_id").count())
            .expr(of_file(C::Market).max())
            .expr(of_file(C::Id).max())
            .from(Alias::new(&shape.name))
            .join(JoinType::LeftJoin, files::Entity, of_file(C::Id).eq(of_row("_file_id")))
            .cond_where(is_wrong)
            .group_by_columns([market, file_id]);
        let mut told = Vec::new();
        let mut stream = snapshot.stream(&query).await?;
        while let Some(row) = stream.try_next().await? {
            let wrong = WrongWriter {
                // An invalid value belongs to no file.
                market: row.try_get_by_index(0).unwrap_or_default(),
                file_id: row.try_get_by_index(1).unwrap_or_default(),
                rows: row.try_get_by_index::<i64>(2)?.unsigned_abs(),
                file_market: row.try_get_by_index(3)?,
                is_there: row.try_get_by_index::<Option<i64>>(4)?.is_some(),
            };
            match told.len() < EXAMPLES_MAX {
                true => told.push(wrong),
                false => check.differences += 1,
            }
        }
        drop(stream);
        for wrong in told {
            let expected = match &wrong {
                WrongWriter { is_there: false, .. } => "a file of the ledger".to_owned(),
                WrongWriter { market, file_market, .. } if file_market.as_ref() != Some(market) => {
                    format!("a file of market {market}")
                }
                _ => format!("a file of {}", feeds.join(" or ")),
            };
            check.differ(Difference {
                kind: "file",
                key: format!(
                    "{} and {} more",
                    first_key(snapshot, shape, &wrong).await?,
                    wrong.rows.saturating_sub(1)
                ),
                column: Some("_file_id".to_owned()),
                stored: Some(wrong.file_id.to_string()),
                expected: Some(expected),
            });
        }
        Ok(check)
    }
}

/// Key of one of these rows, as an example.
async fn first_key(
    snapshot: &DatabaseTransaction,
    shape: &TableShape,
    wrong: &WrongWriter,
) -> Result<String, SyncError> {
    let mut query = Query::select();
    query
        .columns(shape.key.iter().map(Alias::new))
        .from(Alias::new(&shape.name))
        .and_where(Expr::col(Alias::new("market")).eq(wrong.market.as_str()))
        .and_where(Expr::col(Alias::new("_file_id")).eq(wrong.file_id))
        .limit(1);
    let Some(row) = snapshot.query_one(&query).await? else { return Ok("?".to_owned()) };
    let part = |name: &String| -> String {
        let number = || row.try_get::<i64>("", name).map(|number| number.to_string());
        row.try_get::<String>("", name).or_else(|_| number()).unwrap_or_else(|_| "?".to_owned())
    };
    Ok(shape.key.iter().map(part).collect::<Vec<_>>().join(", "))
}
