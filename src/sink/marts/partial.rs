//! Partial: partial results of a mart whose groups have rows all over the market, such as those of
//! a product.
//!
//! A record touches many groups, so recomputing all of them would read nearly the whole market.
//! Instead the mart has two more tables. *Parts* have a row for each group and part of the market,
//! such as what a customer bought of a product; the parts of touched customers are recomputed from
//! the tables. *Totals* have a row for each group, with the sum of its parts. For each recomputed
//! part, the old values are subtracted from the totals and the new values added.
//!
//! Totals do not drift, because only exact values are added and subtracted: integers and decimals,
//! and on SQLite whole numbers that a real holds exactly. Two cases are computed again from all
//! parts of the group: a minimum or maximum whose part has gone, and a sum too large for exact
//! reals.

use crate::error::SyncError;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::texts;
use crate::sink::marts::Marts;
use crate::sink::marts::definition::{Mart, columns_of};
use entity::{ColumnShape, Kind, TableShape};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, Value};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Longest name of a mart with a partial: its other tables have longer names, and databases keep 63
/// bytes.
const MART_BYTES_MAX: usize = 40;

/// Maximum number of extremes (minimum and maximum columns) of a mart; each takes a bit.
const EXTREMES_MAX: usize = 30;

/// Format version of totals. Increase it when their content or computation changes; stored totals
/// are then recreated.
pub(crate) const TOTALS_VERSION: u32 = 2;

/// Number of parts of a group.
const PARTS: &str = "_parts";

/// Bits of the extremes whose part has gone; 0 between refreshes.
const LOST: &str = "_lost";

/// Sum of the absolute values of the parts' sums, for those that are reals.
const MAGNITUDE: &str = "_magnitude";

/// Half of the range in which a real holds every whole number. While the parts' absolute sum is
/// below it, no addition rounds.
const EXACT_MAX: &str = "4503599627370496.0";

/// The parts and totals of a mart; see the module.
#[derive(Debug)]
pub struct Partial {
    /// The table of parts, with the rows of one part stored together.
    pub parts: TableShape,
    /// The table of totals, with the key of the mart.
    pub totals: TableShape,
    /// The key column of the parts whose values select what is recomputed.
    pub by: String,
    /// The query of the parts.
    pub body: String,
    sums: Vec<String>,
    lowest: Vec<String>,
    highest: Vec<String>,
}

/// The section for it in a mart's header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartialHeader {
    by: String,
    /// Columns that are summed over parts, with their types.
    sums: toml::Table,
    /// Columns whose minimum over parts counts.
    #[serde(default)]
    lowest: toml::Table,
    /// Columns whose maximum over parts counts.
    #[serde(default)]
    highest: toml::Table,
}

/// The direction of a change of totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Parts are about to be removed.
    Take,
    /// Parts have been added.
    Add,
}

impl Partial {
    pub(crate) fn new(
        header: &PartialHeader,
        body: &str,
        mart: &TableShape,
        group: &str,
    ) -> Result<Self, String> {
        if mart.name.len() > MART_BYTES_MAX {
            return Err(format!(
                "the name of a mart with a partial has at most {MART_BYTES_MAX} bytes"
            ));
        }
        if mart.key.contains(&header.by) {
            return Err(format!(
                "partial: `by` is `{}`, by which the mart has rows of its own already",
                header.by
            ));
        }
        if mart.column(group).is_none_or(|column| column.kind != Kind::Identifier) {
            return Err("partial: the mart's `group` must be an identifier".to_owned());
        }
        if header.lowest.len() + header.highest.len() > EXTREMES_MAX {
            return Err(format!(
                "partial: there are at most {EXTREMES_MAX} `lowest` and `highest` together"
            ));
        }
        let mut values = columns_of(&header.sums, &[], "partial.sums")?;
        values.extend(columns_of(&header.lowest, &[], "partial.lowest")?);
        values.extend(columns_of(&header.highest, &[], "partial.highest")?);
        let key_columns =
            mart.columns.iter().filter(|column| mart.key.contains(&column.name)).cloned();
        let (market, others): (Vec<_>, Vec<_>) =
            key_columns.partition(|column| column.name == "market");
        let by = ColumnShape::declared(header.by.clone(), Kind::Identifier, false);
        let part_key: Vec<ColumnShape> =
            market.iter().cloned().chain([by]).chain(others.iter().cloned()).collect();
        let own = [(PARTS, Kind::Integer), (LOST, Kind::Integer), (MAGNITUDE, Kind::Total)];
        let own = own.map(|(name, kind)| ColumnShape::declared(name.to_owned(), kind, false));
        let parts = TableShape {
            name: format!("tidegate_partial_{}", mart.name),
            key: part_key.iter().map(|column| column.name.clone()).collect(),
            columns: part_key.into_iter().chain(values.iter().cloned()).collect(),
            auto_increment: false,
        };
        let totals = TableShape {
            name: format!("tidegate_totals_{}", mart.name),
            key: mart.key.clone(),
            columns: market.into_iter().chain(others).chain(values).chain(own).collect(),
            auto_increment: false,
        };
        for shape in [&parts, &totals] {
            let names: BTreeSet<&String> =
                shape.columns.iter().map(|column| &column.name).collect();
            if names.len() < shape.columns.len() {
                return Err("partial: a column of the parts has the name of another".to_owned());
            }
        }
        let names = |columns: &toml::Table| columns.keys().cloned().collect();
        Ok(Self {
            parts,
            totals,
            by: header.by.clone(),
            body: body.trim().to_owned(),
            sums: names(&header.sums),
            lowest: names(&header.lowest),
            highest: names(&header.highest),
        })
    }

    /// The query of the totals of some parts.
    pub(crate) fn totals_of(&self, dialect: Dialect, parts: &str, condition: &str) -> String {
        self.signed_totals_of(dialect, parts, condition, "")
    }

    fn signed_totals_of(
        &self,
        dialect: Dialect,
        parts: &str,
        condition: &str,
        sign: &str,
    ) -> String {
        let quote = |name: &str| dialect.quote(name);
        let mut key: Vec<String> =
            self.totals.key.iter().map(|key| format!("p.{}", quote(key))).collect();
        // The market comes last, because it is always the same and sorting compares the first
        // columns most.
        key.rotate_left(1);
        let value = |column: &ColumnShape| {
            let name = quote(&column.name);
            match column.name.as_str() {
                key if self.totals.key.iter().any(|other| other == key) => format!("p.{name}"),
                PARTS => format!("{sign}COUNT(*) AS {name}"),
                LOST => format!("0 AS {name}"),
                MAGNITUDE => format!("{} AS {name}", self.magnitude(dialect, sign)),
                lowest if self.lowest.iter().any(|other| other == lowest) => {
                    format!("MIN(p.{name}) AS {name}")
                }
                highest if self.highest.iter().any(|other| other == highest) => {
                    format!("MAX(p.{name}) AS {name}")
                }
                _ => format!("{sign}COALESCE(SUM(p.{name}), 0) AS {name}"),
            }
        };
        format!(
            "SELECT {} FROM {parts} p WHERE {condition} GROUP BY {}",
            self.totals.columns.iter().map(value).collect::<Vec<_>>().join(", "),
            key.join(", ")
        )
    }

    fn magnitude(&self, dialect: Dialect, sign: &str) -> String {
        let is_real = |sum: &&String| {
            self.parts.column(sum).is_none_or(|column| column.kind != Kind::Integer)
        };
        let sums = self.sums.iter().filter(is_real);
        let sums: Vec<String> =
            sums.map(|sum| format!("COALESCE(ABS(p.{}), 0)", dialect.quote(sum))).collect();
        if dialect != Dialect::Sqlite || sums.is_empty() {
            return "0".to_owned();
        }
        format!("{sign}COALESCE(SUM({}), 0)", sums.join(" + "))
    }

    /// The statement that changes totals by the sum of some parts.
    fn change_text(&self, dialect: Dialect, condition: &str, change: Change) -> String {
        let quote = |name: &str| dialect.quote(name);
        let (parts, totals) = (quote(&self.parts.name), quote(&self.totals.name));
        let old = |name: &str| format!("{totals}.{}", quote(name));
        let new = |name: &str| match dialect {
            Dialect::Mysql => format!("VALUES({})", quote(name)),
            _ => format!("excluded.{}", quote(name)),
        };
        let extremes = self
            .lowest
            .iter()
            .map(|name| (name, "<"))
            .chain(self.highest.iter().map(|name| (name, ">")));
        let extremes: Vec<(&String, &str, u64)> = extremes
            .enumerate()
            .map(|(bit, (name, better))| (name, better, 1_u64 << bit))
            .collect();
        let lost = extremes.iter().map(|(name, better, bit)| match change {
            Change::Take => {
                format!(" + CASE WHEN {} = {} THEN {bit} ELSE 0 END", old(name), new(name))
            }
            Change::Add => format!(
                " - CASE WHEN ({} & {bit}) = {bit} AND {} {better}= {} THEN {bit} ELSE 0 END",
                old(LOST),
                new(name),
                old(name)
            ),
        });
        // A sum that was not exact before is not exact afterwards.
        let inexact = (change == Change::Take).then(|| {
            format!(
                " + CASE WHEN {} > {EXACT_MAX} THEN {} ELSE 0 END",
                old(MAGNITUDE),
                1_u64 << EXTREMES_MAX
            )
        });
        let lost = format!("{}{}", old(LOST), lost.chain(inexact).collect::<String>());
        // This assignment comes first, because MySQL evaluates from left to right and would already
        // see changed extremes.
        let mut sets = vec![format!("{} = {lost}", quote(LOST))];
        if change == Change::Add {
            sets.extend(extremes.iter().map(|(name, better, _)| {
                let (old, new) = (old(name), new(name));
                let is_better = format!("{old} IS NULL OR {new} {better} {old}");
                format!("{} = CASE WHEN {is_better} THEN {new} ELSE {old} END", quote(name))
            }));
        }
        let sums = self.sums.iter().map(String::as_str).chain([PARTS, MAGNITUDE]);
        sets.extend(sums.map(|name| format!("{} = {} + {}", quote(name), old(name), new(name))));
        let on_conflict = match dialect {
            Dialect::Mysql => "ON DUPLICATE KEY UPDATE".to_owned(),
            _ => format!("ON CONFLICT ({}) DO UPDATE SET", quoted(dialect, &self.totals.key)),
        };
        format!(
            "INSERT INTO {totals} ({}) {} {on_conflict} {}",
            self.totals_columns(dialect),
            self.signed_totals_of(
                dialect,
                &parts,
                condition,
                if change == Change::Take { "-" } else { "" }
            ),
            sets.join(", ")
        )
    }

    fn totals_columns(&self, dialect: Dialect) -> String {
        let names: Vec<String> =
            self.totals.columns.iter().map(|column| column.name.clone()).collect();
        quoted(dialect, &names)
    }
}

impl Marts {
    /// Changes the totals by the sum of some parts.
    pub(crate) async fn change_totals(
        &self,
        connection: &impl ConnectionTrait,
        partial: &Partial,
        market: &str,
        parts: &[String],
        change: Change,
    ) -> Result<(), SyncError> {
        let (condition, binds) = condition(self.db.dialect, market, &partial.by, Some(parts));
        self.db
            .execute_sql(
                connection,
                partial.change_text(self.db.dialect, &condition, change),
                binds,
            )
            .await?;
        fail::fail_point!("during_parts", |_| std::process::abort());
        Ok(())
    }

    /// Recomputes totals from all parts, for some groups or for the whole market.
    pub(crate) async fn compute_totals(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        partial: &Partial,
        market: &str,
        groups: Option<&[String]>,
    ) -> Result<(), SyncError> {
        let keys = groups.map(|groups| groups.iter().map(|group| group.as_str().into()).collect());
        self.delete_keys(connection, &partial.totals, market, &mart.group, keys).await?;
        fail::fail_point!("during_parts", |_| std::process::abort());
        let (condition, binds) = condition(self.db.dialect, market, &mart.group, groups);
        let parts = self.db.dialect.quote(&partial.parts.name);
        let insert = format!(
            "INSERT INTO {} ({}) {}",
            self.db.dialect.quote(&partial.totals.name),
            partial.totals_columns(self.db.dialect),
            partial.totals_of(self.db.dialect, &parts, &condition)
        );
        self.db.execute_sql(connection, insert, binds).await?;
        Ok(())
    }

    /// Groups whose totals cannot be derived from the subtracted and added values.
    pub(crate) async fn groups_of_lost(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        partial: &Partial,
        market: &str,
    ) -> Result<Vec<String>, SyncError> {
        let exact_max = Expr::cust(EXACT_MAX);
        let mut query = Query::select();
        query
            .distinct()
            .column(Alias::new(&mart.group))
            .from(Alias::new(&partial.totals.name))
            .and_where(Expr::col("market").eq(market))
            .and_where(
                Expr::col(LOST)
                    .ne(0)
                    .or(Expr::col(PARTS).lte(0))
                    .or(Expr::col(MAGNITUDE).gt(exact_max)),
            );
        Ok(texts(connection, &query).await?)
    }

    /// The groups of some parts, according to the table of parts.
    pub(crate) async fn groups_of_parts(
        &self,
        connection: &impl ConnectionTrait,
        mart: &Mart,
        partial: &Partial,
        market: &str,
        parts: &[String],
    ) -> Result<BTreeSet<String>, SyncError> {
        let mut query = Query::select();
        query
            .distinct()
            .column(Alias::new(&mart.group))
            .from(Alias::new(&partial.parts.name))
            .and_where(Expr::col("market").eq(market))
            .and_where(Expr::col(Alias::new(&partial.by)).is_in(parts));
        Ok(texts(connection, &query).await?.into_iter().collect())
    }
}

/// The condition for some keys of a market, or for the whole market, on rows with the alias `p`.
fn condition(
    dialect: Dialect,
    market: &str,
    column: &str,
    keys: Option<&[String]>,
) -> (String, Vec<Value>) {
    let mut binds: Vec<Value> = vec![market.into()];
    let mut condition = format!("p.market = {}", dialect.placeholder(1));
    if let Some(keys) = keys {
        binds.extend(keys.iter().map(|key| Value::from(key.as_str())));
        let placeholders: Vec<String> =
            (2..=binds.len()).map(|index| dialect.placeholder(index)).collect();
        condition =
            format!("{condition} AND p.{} IN ({})", dialect.quote(column), placeholders.join(", "));
    }
    (condition, binds)
}

fn quoted(dialect: Dialect, names: &[String]) -> String {
    names.iter().map(|name| dialect.quote(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(header: &str, mart: &str, group_kind: Kind) -> String {
        let column = |name: &str, kind| ColumnShape::declared(name.to_owned(), kind, false);
        let shape = TableShape {
            name: mart.to_owned(),
            columns: vec![column("market", Kind::Identifier), column("sku", group_kind)],
            key: vec!["market".to_owned(), "sku".to_owned()],
            auto_increment: false,
        };
        let header: PartialHeader = toml::from_str(header).expect("the test's header is a header");
        Partial::new(&header, "", &shape, "sku").expect_err("it must be refused")
    }

    #[test]
    fn headers_that_cannot_work_are_refused_with_the_reason() {
        let sums = "[sums]\ncount = 'bigint'";
        let by = |by: &str, rest: &str| format!("by = '{by}'\n{sums}\n{rest}");
        for (header, mart, kind, reason) in [
            (
                by("customer_id", ""),
                "a_name_of_more_than_forty_bytes_for_a_mart",
                Kind::Identifier,
                "at most 40 bytes",
            ),
            (by("sku", ""), "m", Kind::Identifier, "rows of its own already"),
            (by("customer_id", ""), "m", Kind::Day, "must be an identifier"),
            (
                by("customer_id", "[lowest]\ncount = 'bigint'"),
                "m",
                Kind::Identifier,
                "the name of another",
            ),
            (
                by("customer_id", "[lowest]\nfirst = 'moment'"),
                "m",
                Kind::Identifier,
                "is not a type",
            ),
        ] {
            let refused = refused(&header, mart, kind);
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
