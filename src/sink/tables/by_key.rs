//! By key: SQL for records of a market by their keys, whether a key has one column or several.

use crate::feed::record_key::{KeyColumns, join};
use crate::sink::db::dialect::Dialect;
use sea_orm::sea_query::{
    Alias, Condition, Expr, ExprTrait, Order, Query, SelectStatement, ValueTuple,
};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};

/// The condition for the rows of some records of a market.
pub(crate) fn is_one_of(
    dialect: Dialect,
    key: &KeyColumns,
    market: &str,
    keys: &[String],
) -> Condition {
    if let [column] = key.names() {
        let is_of_key = Expr::col(Alias::new(column)).is_in(keys);
        return Condition::all().add(Expr::col("market").eq(market)).add(is_of_key);
    }
    let columns: Vec<&str> = key.names().iter().map(String::as_str).collect();
    let texts =
        |record: &String| key.split(record).iter().map(|part| Value::from(&**part)).collect();
    is_tuple_of(dialect, &columns, market, keys.iter().map(texts).collect())
}

/// The condition for some lines of a market's records.
pub(crate) fn is_line_of(
    dialect: Dialect,
    key: &KeyColumns,
    market: &str,
    lines: &[(String, i64)],
) -> Condition {
    if let [column] = key.names() {
        let is_line = |(record, line_no): &(String, i64)| {
            Expr::col(Alias::new(column)).eq(record.as_str()).and(Expr::col("line_no").eq(*line_no))
        };
        // The keys are repeated as a list, because SQLite uses the key's index for a list, but not
        // for OR conditions.
        let records: Vec<String> = lines.iter().map(|(record, _)| record.clone()).collect();
        let is_line = lines.iter().map(is_line).fold(Condition::any(), Condition::add);
        return is_one_of(dialect, key, market, &records).add(is_line);
    }
    let columns: Vec<&str> = key.names().iter().map(String::as_str).chain(["line_no"]).collect();
    let values = |(record, line_no): &(String, i64)| {
        key.split(record)
            .iter()
            .map(|part| Value::from(&**part))
            .chain([Value::from(*line_no)])
            .collect()
    };
    is_tuple_of(dialect, &columns, market, lines.iter().map(values).collect())
}

/// The condition for the rows of a market that have one of these values in several columns.
fn is_tuple_of(
    dialect: Dialect,
    columns: &[&str],
    market: &str,
    tuples: Vec<Vec<Value>>,
) -> Condition {
    let is_of_market = Condition::all().add(Expr::col("market").eq(market));
    if tuples.is_empty() {
        // Alternatives without any would hold for every row.
        return is_of_market.add(Expr::cust("1 = 2"));
    }
    if dialect == Dialect::Postgres {
        // It would plan several hundred alternatives for a third of a second, and without
        // statistics compare each row of the market with all of them.
        let listed = Query::select()
            .expr(Expr::cust("*"))
            .from_values(tuples.into_iter().map(ValueTuple::Many), "v")
            .to_owned();
        return is_of_market.add(
            Expr::tuple(columns.iter().map(|column| Expr::col(Alias::new(*column))))
                .in_subquery(listed),
        );
    }
    // The market stands in each alternative, so that SQLite looks each up by the table's own key.
    // Of exactly two it would take what both have in common for what to look up, which is the whole
    // market.
    let repeated = (tuples.len() == 2).then(|| tuples[1].clone());
    let is_tuple = |values: Vec<Value>| {
        let cells = columns.iter().zip(values);
        cells.fold(is_of_market.clone(), |all, (column, value)| {
            all.add(Expr::col(Alias::new(*column)).eq(value))
        })
    };
    tuples.into_iter().chain(repeated).map(is_tuple).fold(Condition::any(), Condition::add)
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
        let same = (0..place)
            .fold(Condition::all(), |all, before| all.add(column(before).eq(&*parts[before])));
        same.add(column(place).gt(&*parts[place]))
    };
    // The first condition says nothing of its own, but is one that every database finds its place
    // by.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::record_key::split;
    use sea_orm::sea_query::{Query, SqliteQueryBuilder};

    const TABLE: &str = "CREATE TABLE t (market TEXT NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL, line_no INTEGER NOT NULL, \
         PRIMARY KEY (market, a, b, line_no))";

    fn key() -> KeyColumns {
        KeyColumns::declared("t", &["a".to_owned(), "b".to_owned()]).expect("two names are a key")
    }

    fn keys(records: usize) -> Vec<String> {
        (0..records).map(|record| format!("[\"{}\",\"{record}\"]", record % 2)).collect()
    }

    fn select(condition: Condition) -> SelectStatement {
        Query::select().columns(["a", "b"]).from("t").cond_where(condition).to_owned()
    }

    fn database() -> rusqlite::Connection {
        let database = rusqlite::Connection::open_in_memory().expect("memory is there");
        database.execute_batch(TABLE).expect("the table is right");
        for record in keys(8) {
            let parts = split(&record, 2);
            database
                .execute("INSERT INTO t VALUES ('m', ?, ?, 1)", [&*parts[0], &*parts[1]])
                .expect("a new row");
        }
        database
    }

    fn texts(database: &rusqlite::Connection, sql: &str, column: usize) -> Vec<String> {
        let mut statement = database.prepare(sql).expect("the query is right");
        let rows = statement.query_map([], |row| row.get(column)).expect("the query is right");
        rows.collect::<Result<_, _>>().expect("they are texts")
    }

    #[test]
    fn sqlite_looks_up_each_of_several_records_and_lines_by_the_whole_key() {
        let database = database();
        for records in [1, 2, 3, 200, 500] {
            let keys = keys(records);
            let lines: Vec<(String, i64)> = keys.iter().map(|key| (key.clone(), 1)).collect();
            for (condition, found_by) in [
                (is_one_of(Dialect::Sqlite, &key(), "m", &keys), "(market=? AND a=? AND b=?)"),
                (
                    is_line_of(Dialect::Sqlite, &key(), "m", &lines),
                    "(market=? AND a=? AND b=? AND line_no=?)",
                ),
            ] {
                let sql = select(condition).to_string(SqliteQueryBuilder);
                assert_eq!(texts(&database, &sql, 1).len(), records.min(8), "{records}");
                let plan = texts(&database, &format!("EXPLAIN QUERY PLAN {sql}"), 3);
                let steps: Vec<&String> = plan.iter().filter(|step| step.contains(" t")).collect();
                assert!(steps.iter().all(|step| step.ends_with(found_by)), "{records}: {steps:?}");
            }
        }
        assert_eq!(
            texts(
                &database,
                &select(is_one_of(Dialect::Sqlite, &key(), "m", &[])).to_string(SqliteQueryBuilder),
                0
            )
            .len(),
            0
        );
    }

    #[test]
    fn pages_of_keys_follow_one_another_in_the_order_of_their_columns() {
        let database = database();
        let (mut after, mut found) = (String::new(), Vec::new());
        loop {
            let mut query = select(Condition::all().add(Expr::col("market").eq("m")));
            go_on_after(&mut query, &key(), &after);
            let sql = query.limit(3).to_string(SqliteQueryBuilder);
            let page = texts(&database, &sql, 0).into_iter().zip(texts(&database, &sql, 1));
            let page: Vec<String> = page.map(|(a, b)| format!("[\"{a}\",\"{b}\"]")).collect();
            let Some(last) = page.last() else { break };
            last.clone_into(&mut after);
            found.extend(page);
        }
        let mut all = keys(8);
        all.sort();
        assert_eq!(found, all);
    }
}
