//! Stored rules: which stored values break a rule that other records or other tables decide,
//! `unique` and `references`.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::TableShape;
use crate::sink::tables::{DELETED_AT, Tables};
use entity::{Kind, files};
use sea_orm::sea_query::{
    Alias, Condition, Expr, ExprTrait, JoinType, Order, Query, SelectStatement, SimpleExpr,
};
use sea_orm::{ColumnTrait, ConnectionTrait};

/// Values that are counted at most: with more at fault, nobody needs the exact number.
pub const COUNTED_MAX: u64 = 100_000;

/// Values that are shown.
const SHOWN_MAX: u64 = 3;

/// Values that break a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredValues {
    /// How many, at most [`COUNTED_MAX`].
    pub number: u64,
    /// The first ones, in their order.
    pub first: Vec<String>,
}

/// A stored column of a dataset.
#[derive(Clone, Copy, Debug)]
pub struct StoredColumn<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// Its table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The market.
    pub market: &'a str,
    /// Whether other datasets write to the table too.
    pub is_shared: bool,
}

impl Tables {
    /// Values of a column that do not stand in the column of another table, in the same market.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn missing_references(
        &self,
        own: StoredColumn<'_>,
        (table, column): (&str, &str),
    ) -> Result<StoredValues, SyncError> {
        let shapes = self.shapes();
        let Some((shape, kind)) = kind_of(shapes.get(own.table), own.column) else {
            return Ok(StoredValues::default());
        };
        let mut query = own.rows(shape);
        if let Some((other, other_kind)) = kind_of(shapes.get(table), column) {
            let as_text = is_text(kind) != is_text(other_kind);
            let is_same =
                self.comparable("r", column, as_text).eq(self.comparable("t", own.column, as_text));
            if !as_text && other.key == ["market", column] {
                let of_market = Expr::col(("r", "market")).eq(own.market);
                let is_there = is_present(other, "r").add(is_same).add(of_market);
                query.join_as(JoinType::LeftJoin, Alias::new(table), "r", is_there);
            } else {
                query.join_subquery(
                    JoinType::LeftJoin,
                    referenced(other, column, own.market),
                    "r",
                    is_same,
                );
            }
            query.and_where(Expr::col(("r", Alias::new(column))).is_null());
        }
        query.expr_as(self.text("t", own.column), "v").limit(COUNTED_MAX);
        self.values_of(query).await
    }

    /// Values of a column that stand in more than one record of the market.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn repeated_values(&self, own: StoredColumn<'_>) -> Result<StoredValues, SyncError> {
        let shapes = self.shapes();
        let Some((shape, _)) = kind_of(shapes.get(own.table), own.column) else {
            return Ok(StoredValues::default());
        };
        let key = own.dataset.key.names().iter().map(|name| Expr::col(("t", Alias::new(name))));
        let differs =
            key.fold(Condition::any(), |any, part| any.add(part.clone().min().ne(part.max())));
        let mut query = StoredColumn { is_shared: false, ..own }.rows(shape);
        query.expr_as(self.text("t", own.column), "v");
        query.group_by_col(("t", Alias::new(own.column))).cond_having(differs).limit(COUNTED_MAX);
        self.values_of(query).await
    }

    /// Counts the values that a query has in its column `v`, and reads the first.
    async fn values_of(&self, query: SelectStatement) -> Result<StoredValues, SyncError> {
        let connection = &self.db.connection;
        let count = Query::select()
            .expr(Expr::cust("COUNT(*)"))
            .from_subquery(query.clone(), "x")
            .to_owned();
        let number: i64 = match connection.query_one(&count).await? {
            Some(row) => row.try_get_by_index(0)?,
            None => 0,
        };
        if number == 0 {
            return Ok(StoredValues::default());
        }
        let mut first = Query::select();
        first
            .column("v")
            .from_subquery(query, "x")
            .group_by_col("v")
            .order_by("v", Order::Asc)
            .limit(SHOWN_MAX);
        let rows = connection.query_all(&first).await?;
        let first =
            rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<_, _>>()?;
        Ok(StoredValues { number: u64::try_from(number).unwrap_or(0), first })
    }

    fn comparable(&self, table: &'static str, column: &str, as_text: bool) -> SimpleExpr {
        if as_text { self.text(table, column) } else { Expr::col((table, Alias::new(column))) }
    }

    fn text(&self, table: &'static str, column: &str) -> SimpleExpr {
        Expr::col((table, Alias::new(column))).cast_as(self.db.dialect.text_type())
    }
}

impl StoredColumn<'_> {
    /// The rows of the dataset that have a value in the column, as `t`.
    fn rows(&self, shape: &TableShape) -> SelectStatement {
        let column = |name: &str| Expr::col(("t", Alias::new(name)));
        let mut query = Query::select();
        query.from_as(Alias::new(self.table), "t");
        query
            .and_where(column("market").eq(self.market))
            .and_where(column(self.column).is_not_null());
        query.cond_where(is_present(shape, "t"));
        if self.is_shared {
            let own_files = Query::select()
                .column(files::Column::Id)
                .from(files::Entity)
                .and_where(files::Column::Dataset.eq(&*self.dataset.name))
                .and_where(files::Column::Market.eq(self.market))
                .to_owned();
            query.and_where(column("_file_id").in_subquery(own_files));
        }
        query
    }
}

/// The values that others may refer to, each once: the column may have no index, and every database
/// joins a list of distinct values without one.
fn referenced(shape: &TableShape, column: &str, market: &str) -> SelectStatement {
    let of_column = || Expr::col(("o", Alias::new(column)));
    let mut query = Query::select();
    query.distinct().column(("o", Alias::new(column))).from_as(Alias::new(&shape.name), "o");
    query.and_where(Expr::col(("o", "market")).eq(market)).and_where(of_column().is_not_null());
    query.cond_where(is_present(shape, "o"));
    query
}

/// The condition that a record is not marked as deleted.
fn is_present(shape: &TableShape, table: &'static str) -> Condition {
    let can_be_marked = shape.column(DELETED_AT).is_some();
    Condition::all().add_option(can_be_marked.then(|| Expr::col((table, DELETED_AT)).is_null()))
}

fn kind_of<'s>(shape: Option<&'s TableShape>, column: &str) -> Option<(&'s TableShape, Kind)> {
    let shape = shape?;
    shape.column(column).map(|found| (shape, found.kind))
}

const fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Identifier | Kind::Text)
}
