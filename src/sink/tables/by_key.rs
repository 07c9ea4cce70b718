//! By key: SQL for records of a market by their keys, whether a key has one column or several.

use crate::feed::record_key::{KeyColumns, join};
use sea_orm::sea_query::{Alias, Condition, Expr, ExprTrait, Order, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// The condition for the rows of some records of a market.
pub(crate) fn is_one_of(key: &KeyColumns, market: &str, keys: &[String]) -> Condition {
    if let [column] = key.names() {
        let is_of_key = Expr::col(Alias::new(column)).is_in(keys);
        return Condition::all().add(Expr::col("market").eq(market)).add(is_of_key);
    }
    // Without a key there would be no condition at all.
    let none = Condition::any().add(Expr::value(1).eq(2));
    let mut records: Vec<Condition> = keys.iter().map(|record| is_record(key, market, record)).collect();
    // Of exactly two alternatives SQLite takes what both have in common for what to look up: the whole market.
    if let [_, last] = records.as_slice() {
        records.push(last.clone());
    }
    records.into_iter().fold(none, Condition::add)
}

/// The condition for the rows of one record. The market stands in it, so that SQLite looks up each of several by the
/// table's own key.
pub(crate) fn is_record(key: &KeyColumns, market: &str, record: &str) -> Condition {
    let parts = key.names().iter().zip(key.split(record));
    let is_of_market = Condition::all().add(Expr::col("market").eq(market));
    parts.fold(is_of_market, |all, (column, part)| all.add(Expr::col(Alias::new(column)).eq(&*part)))
}

/// Lets a query of keys go on after one, in their order; from the first one on where it is empty.
pub(crate) fn go_on_after(query: &mut SelectStatement, key: &KeyColumns, after: &str) {
    key.names().iter().for_each(|column| {
        query.order_by(Alias::new(column), Order::Asc);
    });
    let column = |index: usize| Expr::col(Alias::new(&key.names()[index]));
    if let [_] = key.names() {
        query.and_where(column(0).gt(after));
        return;
    }
    if after.is_empty() {
        return;
    }
    let parts = key.split(after);
    let is_behind_in = |place: usize| {
        let same = (0..place).fold(Condition::all(), |all, before| all.add(column(before).eq(&*parts[before])));
        same.add(column(place).gt(&*parts[place]))
    };
    // The first condition says nothing of its own, but is one that every database finds its place by.
    query.and_where(column(0).gte(&*parts[0]));
    query.cond_where((0..parts.len()).map(is_behind_in).fold(Condition::any(), Condition::add));
}

/// The key whose parts begin at a column of a row.
pub(crate) fn key_at(row: &QueryResult, first: usize, key: &KeyColumns) -> Result<String, DbErr> {
    join((first..).take(key.names().len()).map(|column| row.try_get_by_index::<String>(column)))
}

/// The keys that a query of nothing else returns.
pub(crate) async fn keys_in(
    connection: &impl ConnectionTrait,
    query: &SelectStatement,
    key: &KeyColumns,
) -> Result<Vec<String>, DbErr> {
    connection.query_all(query).await?.iter().map(|row| key_at(row, 0, key)).collect()
}
