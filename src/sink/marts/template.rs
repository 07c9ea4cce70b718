//! Template: the functions for queries of marts and views, so that one text works on all three
//! databases. Values become bound parameters, in the order of the text.

use crate::error::SyncError;
use crate::feed::layout::{Shapes, shortened};
use crate::feed::record_key::KeyColumns;
use crate::sink::db::dialect::Dialect;
use entity::TableShape;
use minijinja::value::Rest;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};
use sea_orm::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The scope of a query.
#[derive(Clone, Debug)]
pub enum Scope {
    /// No restriction: a view.
    View,
    /// Every group of a market.
    Market(String),
    /// These groups of a market.
    Keys(String, Vec<String>),
    /// These records of a market.
    Records(String, KeyColumns, Vec<String>),
}

/// A query and its bound values.
#[derive(Debug)]
pub struct Rendered {
    /// The text.
    pub sql: String,
    /// The values, in the order of their placeholders.
    pub binds: Vec<Value>,
}

/// Renders a query in a dialect.
///
/// # Errors
///
/// When the template is wrong.
pub fn render(
    name: &str,
    template: &str,
    dialect: Dialect,
    shapes: &Arc<Shapes>,
    scope: &Scope,
) -> Result<Rendered, SyncError> {
    render_over(name, template, None, dialect, shapes, scope)
}

/// Like [`render`], for a query that reads totals of parts; `totals` is a template for their
/// source.
///
/// # Errors
///
/// When a template is wrong.
pub fn render_over(
    name: &str,
    template: &str,
    totals: Option<String>,
    dialect: Dialect,
    shapes: &Arc<Shapes>,
    scope: &Scope,
) -> Result<Rendered, SyncError> {
    let binds = Binds { dialect, values: Arc::default() };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_global("dialect", dialect.name());
    environment.add_global("is_whole", matches!(scope, Scope::Market(_)));
    add_scope_functions(&mut environment, &binds, scope);
    add_sources(&mut environment, dialect, shapes, scope);
    add_expressions(&mut environment, dialect);
    add_column_functions(&mut environment, dialect, shapes);
    if let Some(totals) = totals {
        // Rendered in place by the same environment, so that values keep the order of their
        // placeholders.
        environment.add_function("totals", move |state: &State<'_, '_>| {
            state.env().render_str(&totals, ())
        });
    }
    let sql = environment.render_str(template, ()).map_err(|error| {
        SyncError::Configuration(format!("{name}: the query's template is wrong: {error:#}"))
    })?;
    drop(environment);
    let values = std::mem::take(&mut *binds.values.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Rendered { sql, binds: values })
}

/// Collects bound values while the text is rendered.
#[derive(Clone)]
struct Binds {
    dialect: Dialect,
    values: Arc<Mutex<Vec<Value>>>,
}

impl Binds {
    fn bind(&self, value: &str) -> String {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.push(value.into());
        self.dialect.placeholder(values.len())
    }

    fn list(&self, texts: &[String]) -> String {
        texts.iter().map(|text| self.bind(text)).collect::<Vec<_>>().join(", ")
    }

    /// A condition for the market, and for the records if there are any. The query must name every
    /// column of their key.
    fn records(
        &self,
        scope: &Scope,
        market_column: &str,
        key_columns: &[String],
    ) -> Result<String, Error> {
        match (scope, key_columns) {
            (Scope::Records(_, key, _), columns) if columns.len() != key.names().len() => {
                let said =
                    format!("the key of these records has {} columns ({key})", key.names().len());
                Err(Error::new(ErrorKind::InvalidOperation, said))
            }
            (Scope::Records(market, key, records), [_, _, ..])
                if self.dialect == Dialect::Postgres =>
            {
                // A list, for the reasons that `tables::by_key` has for one.
                let market = self.bind(market);
                let tuple = |record: &String| {
                    let parts: Vec<String> =
                        key.split(record).iter().map(|part| self.bind(part)).collect();
                    format!("({})", parts.join(", "))
                };
                let tuples: Vec<String> = records.iter().map(tuple).collect();
                let (columns, tuples) = (key_columns.join(", "), tuples.join(", "));
                Ok(format!("{market_column} = {market} AND ({columns}) IN (VALUES {tuples})"))
            }
            (Scope::Records(market, key, records), [_, _, ..]) => {
                let is_record = |record: &String| {
                    let parts = key.split(record);
                    let parts = key_columns
                        .iter()
                        .zip(&parts)
                        .map(|(column, part)| (column.as_str(), &**part));
                    let parts = [(market_column, market.as_str())].into_iter().chain(parts);
                    let parts: Vec<String> = parts
                        .map(|(column, part)| format!("{column} = {}", self.bind(part)))
                        .collect();
                    format!("({})", parts.join(" AND "))
                };
                // Of exactly two SQLite would look up what both have in common, which is the whole
                // market.
                let repeated = records.get(1).filter(|_| records.len() == 2);
                let alternatives: Vec<String> =
                    records.iter().chain(repeated).map(is_record).collect();
                Ok(format!("({})", alternatives.join(" OR ")))
            }
            (scope, [key_column]) => Ok(self.keyed(scope, market_column, key_column)),
            (_, _) => Err(Error::new(
                ErrorKind::InvalidOperation,
                "groups are told by one column beside the market",
            )),
        }
    }

    /// A condition for the market, and for the keys if there are any.
    fn keyed(&self, scope: &Scope, market_column: &str, key_column: &str) -> String {
        match scope {
            Scope::View => "1 = 1".to_owned(),
            Scope::Market(market) => format!("{market_column} = {}", self.bind(market)),
            Scope::Keys(market, keys) | Scope::Records(market, _, keys) => {
                format!(
                    "{market_column} = {} AND {key_column} IN ({})",
                    self.bind(market),
                    self.list(keys)
                )
            }
        }
    }

    /// Like [`Binds::keyed`], for a column whose NULLs are the key `''`. It avoids `COALESCE`,
    /// because that cannot use an index.
    fn keyed_or_null(&self, scope: &Scope, market_column: &str, key_column: &str) -> String {
        match scope {
            Scope::Keys(market, keys) if keys.iter().any(String::is_empty) => format!(
                "{market_column} = {} AND ({key_column} IN ({}) OR {key_column} IS NULL)",
                self.bind(market),
                self.list(keys)
            ),
            _ => self.keyed(scope, market_column, key_column),
        }
    }

    /// Like [`Binds::keyed`], for groups by day, with bounds that can use an index on the moment.
    fn keyed_days(&self, scope: &Scope, market_column: &str, moment: &str) -> String {
        let (Scope::Keys(market, days), Some(first), Some(last)) =
            (scope, scope.first(), scope.last())
        else {
            return self.keyed(scope, market_column, moment);
        };
        let market = self.bind(market);
        let (first, last) = (self.bind(first), self.bind(last));
        let bounds = match self.dialect {
            // Compare as text: every moment of a day begins with the day and a T. The next day is
            // not used, because the last possible day has none.
            Dialect::Sqlite => format!("{moment} >= {first} AND {moment} < {last} || 'U'"),
            Dialect::Postgres => format!(
                "{moment} >= CAST(CAST({first} AS text) AS date)::timestamp AT TIME ZONE 'UTC' \
                 AND {moment} < (CAST(CAST({last} AS text) AS date) + 1)::timestamp AT TIME ZONE 'UTC'"
            ),
            Dialect::Mysql => format!(
                "{moment} >= CAST({first} AS DATETIME(3)) AND {moment} <= CAST(CONCAT({last}, ' 23:59:59.999') AS DATETIME(3))"
            ),
        };
        format!(
            "{market_column} = {market} AND {bounds} AND {} IN ({})",
            day_text(self.dialect, moment),
            self.list(days)
        )
    }
}

impl Scope {
    fn first(&self) -> Option<&str> {
        if let Self::Keys(_, keys) = self { keys.iter().min().map(String::as_str) } else { None }
    }

    fn last(&self) -> Option<&str> {
        if let Self::Keys(_, keys) = self { keys.iter().max().map(String::as_str) } else { None }
    }
}

fn add_scope_functions(environment: &mut Environment<'_>, binds: &Binds, scope: &Scope) {
    for name in ["touched", "records"] {
        let (binds, scope) = (binds.clone(), scope.clone());
        environment.add_function(name, move |market: &str, key: Rest<String>| {
            binds.records(&scope, market, &key)
        });
    }
    let (of_nulls, scope_of_nulls) = (binds.clone(), scope.clone());
    environment.add_function("touched_or_null", move |market: &str, key: &str| {
        of_nulls.keyed_or_null(&scope_of_nulls, market, key)
    });
    let (binds, scope) = (binds.clone(), scope.clone());
    environment.add_function("touched_days", move |market: &str, moment: &str| {
        binds.keyed_days(&scope, market, moment)
    });
}

/// A table and its alias in FROM. For a whole market SQLite would choose the index that fits the
/// grouping, and read each row from another place. The primary key keeps the rows together, and
/// also the rows of other tables that are looked up for them.
fn add_sources(
    environment: &mut Environment<'_>,
    dialect: Dialect,
    shapes: &Arc<Shapes>,
    scope: &Scope,
) {
    let reads_by_key = dialect == Dialect::Sqlite && matches!(scope, Scope::Market(_));
    let of = Arc::clone(shapes);
    environment.add_function("source", move |table: &str, alias: &str| {
        let is_keyed_by_market =
            |shape: &TableShape| shape.key.first().is_some_and(|first| first == "market");
        match reads_by_key && of.get(table).is_some_and(is_keyed_by_market) {
            // SQLite's name for the index of a primary key (fileformat2.html, section 2.6.1).
            true => {
                let index = dialect.quote(&format!("sqlite_autoindex_{table}_1"));
                format!("{} {alias} INDEXED BY {index}", dialect.quote(table))
            }
            false => format!("{} {alias}", dialect.quote(table)),
        }
    });
}

fn add_column_functions(environment: &mut Environment<'_>, dialect: Dialect, shapes: &Arc<Shapes>) {
    let of = Arc::clone(shapes);
    environment.add_function("columns", move |table: &str, alias: &str| {
        let columns = of.get(table).map_or(&[][..], |shape| &shape.columns);
        let list: Vec<String> = columns
            .iter()
            .map(|column| format!("{alias}.{}", dialect.quote(&column.name)))
            .collect();
        list.join(", ")
    });
    let of = Arc::clone(shapes);
    environment.add_function(
        "other_columns",
        move |table: &str, alias: &str, prefix: &str, beside: &str, more: Rest<String>| {
            let Some(shape) = of.get(table) else { return String::new() };
            let mut taken: HashSet<String> = more.iter().cloned().collect();
            taken.extend(
                of.get(beside)
                    .into_iter()
                    .flat_map(|shape| &shape.columns)
                    .map(|column| column.name.clone()),
            );
            let others = shape.columns.iter().filter(|column| !shape.key.contains(&column.name));
            let list: Vec<String> = others
                .map(|column| {
                    let own_name = format!("{prefix}{}", column.name);
                    let mut name = shortened(&own_name, "");
                    let mut suffix = 2;
                    while !taken.insert(name.clone()) {
                        name = shortened(&own_name, &format!("_{suffix}"));
                        suffix += 1;
                    }
                    format!("{alias}.{} AS {}", dialect.quote(&column.name), dialect.quote(&name))
                })
                .collect();
            list.join(", ")
        },
    );
    let of = Arc::clone(shapes);
    environment.add_function("live", move |table: &str, alias: &str| {
        let is_markable = of.get(table).is_some_and(|shape| shape.column("_deleted_at").is_some());
        if is_markable { format!("{alias}._deleted_at IS NULL") } else { "1 = 1".to_owned() }
    });
}

fn add_expressions(environment: &mut Environment<'_>, dialect: Dialect) {
    environment.add_function("day", move |moment: &str| dialect.day(moment));
    environment.add_function("day_text", move |moment: &str| day_text(dialect, moment));
    environment.add_function("month_text", move |moment: &str| match dialect {
        Dialect::Sqlite => format!("substr({moment}, 1, 7)"),
        Dialect::Postgres => format!("to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM')"),
        // Without the literal, the collation would be that of the view's reader; the literal has
        // that of its creator.
        Dialect::Mysql => format!("CONCAT(DATE_FORMAT({moment}, '%Y-%m'), '')"),
    });
    environment.add_function("month_number", move |moment: &str| match dialect {
        Dialect::Sqlite => format!("(CAST(substr({moment}, 1, 4) AS INTEGER) * 12 + CAST(substr({moment}, 6, 2) AS INTEGER))"),
        Dialect::Postgres => format!(
            "(EXTRACT(YEAR FROM {moment} AT TIME ZONE 'UTC') * 12 + EXTRACT(MONTH FROM {moment} AT TIME ZONE 'UTC'))::bigint"
        ),
        Dialect::Mysql => format!("(YEAR({moment}) * 12 + MONTH({moment}))"),
    });
    environment.add_function("days_between", move |from: &str, to: &str| match dialect {
        Dialect::Sqlite => {
            format!(
                "CAST(julianday(substr({to}, 1, 10)) - julianday(substr({from}, 1, 10)) AS INTEGER)"
            )
        }
        Dialect::Postgres => {
            format!("(({to} AT TIME ZONE 'UTC')::date - ({from} AT TIME ZONE 'UTC')::date)")
        }
        Dialect::Mysql => format!("DATEDIFF({to}, {from})"),
    });
    // Converts floating point to a decimal, so that sums do not depend on row order.
    environment.add_function("exact", move |number: &str| match dialect {
        Dialect::Sqlite => number.to_owned(),
        Dialect::Postgres => format!("({number})::numeric"),
        Dialect::Mysql => format!(
            "CAST(CASE WHEN {number} > 1e18 THEN 1e18 WHEN {number} < -1e18 THEN -1e18 ELSE {number} END AS DECIMAL(30,10))"
        ),
    });
    // Converts decimals to values with the same sum in any order, also for sums of sums. SQLite
    // adds reals: whole ten-thousandths are exact below 2^53. They stay reals, because an integer
    // overflow in SQLite's sum is an error.
    environment.add_function("units", move |decimal: &str| match dialect {
        Dialect::Sqlite => format!("ROUND(({decimal}) * 10000.0)"),
        Dialect::Postgres | Dialect::Mysql => decimal.to_owned(),
    });
    environment.add_function("of_units", move |units: &str| match dialect {
        Dialect::Sqlite => format!("(({units}) / 10000.0)"),
        Dialect::Postgres | Dialect::Mysql => format!("({units})"),
    });
    environment.add_function("round4", move |number: &str| round4(dialect, number));
    environment.add_function("quotient4", move |numerator: &str, denominator: &str| match dialect {
        Dialect::Sqlite => round4(dialect, &format!("({numerator}) * 1.0 / NULLIF({denominator}, 0)")),
        Dialect::Postgres => {
            format!("ROUND(({numerator})::numeric * 1.0000000000000000 / NULLIF({denominator}, 0), 4)")
        }
        Dialect::Mysql => format!("ROUND(CAST({numerator} AS DECIMAL(55,14)) / NULLIF({denominator}, 0), 4)"),
    });
}

fn day_text(dialect: Dialect, moment: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("substr({moment}, 1, 10)"),
        Dialect::Postgres => format!("to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"),
        Dialect::Mysql => format!("DATE_FORMAT({moment}, '%Y-%m-%d')"),
    }
}

/// Rounds to 4 places, half away from zero.
fn round4(dialect: Dialect, number: &str) -> String {
    match dialect {
        // The real for x.xxxx5 may be slightly below it; adding a few units in the last place
        // corrects that.
        Dialect::Sqlite => {
            format!("ROUND(({number}) + MAX(MIN(({number}) * 4e-16, 2e-5), -2e-5), 4)")
        }
        Dialect::Postgres => format!("ROUND(({number})::numeric, 4)"),
        Dialect::Mysql => format!("ROUND(CAST({number} AS DECIMAL(55,10)), 4)"),
    }
}
