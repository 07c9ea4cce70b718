//! Definition: reads and checks the files of marts and views, each a TOML header in a comment and a
//! query below it.

use crate::error::SyncError;
use crate::feed::layout::Shapes;
use crate::sink::marts::partial::{Partial, PartialHeader, TOTALS_VERSION};
use crate::values::cell::hex;
use entity::{ColumnShape, Kind, TableShape};
use regex::Regex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::LazyLock;

/// The shipped files.
const SHIPPED: [(&str, &str); 9] = [
    ("customer_metrics.sql", include_str!("../../../etc/marts/customer_metrics.sql")),
    ("product_metrics.sql", include_str!("../../../etc/marts/product_metrics.sql")),
    ("merchant_metrics.sql", include_str!("../../../etc/marts/merchant_metrics.sql")),
    ("agent_metrics.sql", include_str!("../../../etc/marts/agent_metrics.sql")),
    ("daily_metrics.sql", include_str!("../../../etc/marts/daily_metrics.sql")),
    ("enriched_orders.sql", include_str!("../../../etc/views/enriched_orders.sql")),
    ("enriched_deliveries.sql", include_str!("../../../etc/views/enriched_deliveries.sql")),
    ("customer_segments.sql", include_str!("../../../etc/views/customer_segments.sql")),
    ("cohort_retention.sql", include_str!("../../../etc/views/cohort_retention.sql")),
];

/// Separator between the query of the parts and the query of the groups.
const BETWEEN_QUERIES: &str = "\n;\n";

/// All marts and views.
#[derive(Debug)]
pub struct Definitions {
    /// Tables of metrics.
    pub marts: Vec<Mart>,
    /// Views, in the order of creation: a view comes after those that it reads.
    pub views: Vec<View>,
}

/// A mart: a table of metrics that is updated when rows change.
#[derive(Debug)]
pub struct Mart {
    /// Its file, for error messages.
    pub file: String,
    /// Its table.
    pub shape: TableShape,
    /// The key column whose values select what is recomputed.
    pub group: String,
    /// Columns whose sum over all groups is meaningful.
    pub additive: Vec<String>,
    /// For each table of records, the query that finds what changed records mark: groups, or parts
    /// if the mart has a partial.
    pub touched_by: BTreeMap<String, String>,
    /// The parts that it is computed from, if not directly from the tables.
    pub partial: Option<Partial>,
    /// The query of the groups.
    pub body: String,
    /// SHA-256 of the file, and of the format of totals if it has some.
    pub fingerprint: String,
}

/// A view.
#[derive(Debug)]
pub struct View {
    /// Its file, for error messages.
    pub file: String,
    /// Its name.
    pub name: String,
    /// The query.
    pub body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MartHeader {
    mart: String,
    key: Vec<String>,
    group: String,
    #[serde(default)]
    additive: Vec<String>,
    columns: toml::Table,
    touched_by: BTreeMap<String, String>,
    partial: Option<PartialHeader>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewHeader {
    view: String,
    /// Accepted because files of earlier releases have it; the query itself shows what a view
    /// needs.
    #[serde(default, rename = "needs")]
    _needs: Vec<String>,
}

impl Definitions {
    /// Loads the shipped files, and those of a directory.
    ///
    /// # Errors
    ///
    /// When a file is wrong; the error names it and the reason.
    pub fn load(directory: Option<&Path>) -> Result<Self, SyncError> {
        let mut definitions = Self { marts: Vec::new(), views: Vec::new() };
        for (file, text) in SHIPPED {
            definitions.add(file, text)?;
        }
        for (file, text) in directory.map(read_directory).transpose()?.unwrap_or_default() {
            definitions.add(&file, &text)?;
        }
        definitions.check_sources()?;
        definitions.sort_views()?;
        Ok(definitions)
    }

    /// Sorts each view after the views that it reads.
    fn sort_views(&mut self) -> Result<(), SyncError> {
        let mut waiting = std::mem::take(&mut self.views);
        while !waiting.is_empty() {
            let is_ready = |view: &View| {
                let read: HashSet<&str> = tables_read(&view.body).collect();
                !waiting
                    .iter()
                    .any(|other| other.name != view.name && read.contains(other.name.as_str()))
            };
            let Some(at) = waiting.iter().position(is_ready) else {
                let files: Vec<&str> = waiting.iter().map(|view| view.file.as_str()).collect();
                let files = files.join(", ");
                return Err(SyncError::Configuration(format!(
                    "{files}: each of these views reads another one of them"
                )));
            };
            self.views.push(waiting.remove(at));
        }
        Ok(())
    }

    /// Marts are computed in parallel, so no mart may read another one.
    fn check_sources(&self) -> Result<(), SyncError> {
        for mart in &self.marts {
            let partial = mart.partial.iter().map(|partial| partial.body.as_str());
            let words: HashSet<&str> =
                partial.chain([mart.body.as_str()]).flat_map(words).collect();
            let others = self.marts.iter().filter(|other| other.shape.name != mart.shape.name);
            if let Some(read) =
                others.flat_map(Mart::tables).find(|table| words.contains(table.name.as_str()))
            {
                return Err(SyncError::Configuration(format!(
                    "{}: the mart `{}` names `{}`, which is another mart's table: a mart is computed from the tables of the \
                     markets alone; a view may read marts",
                    mart.file, mart.shape.name, read.name
                )));
            }
        }
        Ok(())
    }

    /// Names of all marts and views.
    pub fn names(&self) -> Vec<&String> {
        let marts = self.marts.iter().map(|mart| &mart.shape.name);
        marts.chain(self.views.iter().map(|view| &view.name)).collect()
    }

    /// Pins columns that must never be widened: key columns, tidegate's own columns, and columns
    /// that a mart or view names, because it may depend on their kind.
    pub fn pin(&self, shapes: &mut Shapes) {
        let marts = self.marts.iter().map(Mart::words);
        let views = self.views.iter().map(|view| words(&view.body).collect());
        let texts: Vec<HashSet<&str>> = marts.chain(views).collect();
        for shape in shapes.values_mut() {
            let about: Vec<_> =
                texts.iter().filter(|words| words.contains(shape.name.as_str())).collect();
            for column in &mut shape.columns {
                column.is_pinned = shape.key.contains(&column.name)
                    || column.name.starts_with('_')
                    || column.name == "line_count"
                    || about.iter().any(|words| words.contains(column.name.as_str()));
            }
        }
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), SyncError> {
        let wrong = |what: String| SyncError::Configuration(format!("{file}: {what}"));
        let (header, body) = text
            .trim_start()
            .strip_prefix("/*")
            .and_then(|rest| rest.split_once("*/"))
            .ok_or_else(|| wrong("it must begin with a header between /* and */".to_owned()))?;
        let table: toml::Table =
            header.parse().map_err(|error| wrong(format!("the header is not TOML: {error}")))?;
        if table.contains_key("view") {
            let header: ViewHeader = table.try_into().map_err(|error| wrong(format!("{error}")))?;
            if self.views.iter().any(|other| other.name == header.view) {
                return Err(wrong(format!("there are two views `{}`", header.view)));
            }
            self.views.push(View {
                file: file.to_owned(),
                name: header.view,
                body: body.trim().to_owned(),
            });
            return Ok(());
        }
        let header: MartHeader = table.try_into().map_err(|error| wrong(format!("{error}")))?;
        let fingerprint = match header.partial {
            None => hex(&Sha256::digest(text)),
            Some(_) => hex(&Sha256::digest(format!("{TOTALS_VERSION}\n{text}"))),
        };
        let mart = Mart::new(file, header, body, fingerprint).map_err(wrong)?;
        if self.marts.iter().any(|other| other.shape.name == mart.shape.name) {
            return Err(wrong(format!("there are two marts `{}`", mart.shape.name)));
        }
        self.marts.push(mart);
        Ok(())
    }
}

impl Mart {
    fn new(
        file: &str,
        header: MartHeader,
        body: &str,
        fingerprint: String,
    ) -> Result<Self, String> {
        let columns = columns_of(&header.columns, &header.key, "columns")?;
        if header.key.first().is_none_or(|first| first != "market") {
            return Err("the key must begin with `market`".to_owned());
        }
        if !header.key.contains(&header.group)
            || header.key.iter().any(|key| !header.columns.contains_key(key))
        {
            return Err("`key` must name columns, and `group` one of them".to_owned());
        }
        if let Some(missing) =
            header.additive.iter().find(|name| !header.columns.contains_key(*name))
        {
            return Err(format!("additive: `{missing}` is none of the columns"));
        }
        let shape =
            TableShape { name: header.mart, columns, key: header.key, auto_increment: false };
        let (partial, body) = match header.partial {
            None => (None, body),
            Some(partial) => {
                let (parts, groups) = body.split_once(BETWEEN_QUERIES).ok_or(
                    "with a partial there must be two queries, the one of the parts first, and a line with only a `;` between them",
                )?;
                (Some(Partial::new(&partial, parts, &shape, &header.group)?), groups)
            }
        };
        Ok(Self {
            file: file.to_owned(),
            shape,
            group: header.group,
            additive: header.additive,
            touched_by: header.touched_by,
            partial,
            body: body.trim().to_owned(),
            fingerprint,
        })
    }

    /// Its own table, and its tables of parts and totals.
    pub fn tables(&self) -> impl Iterator<Item = &TableShape> {
        [&self.shape]
            .into_iter()
            .chain(self.partial.iter().flat_map(|partial| [&partial.parts, &partial.totals]))
    }

    /// The tables of the markets that its queries name.
    pub fn reads<'a>(&self, shapes: &'a Shapes) -> Vec<&'a String> {
        let words = self.words();
        shapes.keys().filter(|table| words.contains(table.as_str())).collect()
    }

    /// All words of its queries.
    fn words(&self) -> HashSet<&str> {
        let partial = self.partial.iter().map(|partial| &partial.body);
        let queries = self.touched_by.values().chain([&self.body]).chain(partial);
        queries.flat_map(|query| words(query)).collect()
    }

    /// What the group column holds.
    pub fn group_kind(&self) -> Kind {
        self.shape.column(&self.group).map_or(Kind::Text, |column| column.kind)
    }
}

pub(crate) fn columns_of(
    declared: &toml::Table,
    key: &[String],
    at: &str,
) -> Result<Vec<ColumnShape>, String> {
    let column = |(name, kind): (&String, &toml::Value)| {
        let known = kind.as_str().and_then(Kind::from_name);
        let kind = known.ok_or_else(|| format!("{at}.{name}: {kind:?} is not a type"))?;
        Ok(ColumnShape::declared(name.clone(), kind, !key.contains(name)))
    };
    declared.iter().map(column).collect()
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Names that a query uses as tables: after FROM, JOIN or a comma, and not before a point.
/// Elsewhere a view's name may be an alias.
fn tables_read(query: &str) -> impl Iterator<Item = &str> {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?i)(?:\b(?:from|join)\s|,)\s*["`]?(\w+)["`]?(\.?)"#)
            .expect("a right pattern")
    });
    let named = NAMED.captures_iter(query).map(|captures| captures.extract());
    named.filter(|(_, [_, point])| point.is_empty()).map(|(_, [name, _])| name)
}

fn read_directory(directory: &Path) -> Result<Vec<(String, String)>, SyncError> {
    let unreadable = |error: std::io::Error| {
        SyncError::Configuration(format!("marts_dir: cannot read {}: {error}", directory.display()))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push((
                path.display().to_string(),
                std::fs::read_to_string(&path).map_err(unreadable)?,
            ));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mart_that_reads_another_one_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let header = "mart = 'best'\nkey = ['market', 'sku']\ngroup = 'sku'\n[columns]\nmarket = 'identifier'\nsku = 'identifier'\n[touched_by]\norders = 'SELECT 1'";
        for (table, is_refused) in [
            ("customer_metrics", true),
            ("tidegate_totals_product_metrics", true),
            ("order_items", false),
        ] {
            let text = format!("/*\n{header}\n*/\nSELECT market, sku FROM {table}");
            std::fs::write(directory.path().join("best.sql"), text).expect("it can be written");
            let loaded = Definitions::load(Some(directory.path()));
            assert_eq!(
                loaded.is_err_and(|error| error.to_string().contains(table)),
                is_refused,
                "{table}"
            );
        }
    }

    #[test]
    fn views_come_after_those_that_they_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, query: &str| {
            let text = format!("/*\nview = '{name}'\n*/\n{query}");
            std::fs::write(directory.path().join(format!("{name}.sql")), text)
                .expect("it can be written");
        };
        write("a", "SELECT * FROM b");
        write(
            "b",
            "SELECT c.market, a.score FROM customer_segments AS a JOIN customers AS c ON c.market = a.market",
        );
        let loaded = Definitions::load(Some(directory.path())).expect("the views are right");
        let names: Vec<&str> = loaded.views.iter().map(|view| view.name.as_str()).collect();
        assert_eq!(names[names.len() - 2..], ["b", "a"]);
        write("b", "SELECT * FROM a");
        let error = Definitions::load(Some(directory.path()))
            .expect_err("they read each other")
            .to_string();
        assert!(error.contains("a.sql") && error.contains("b.sql"), "{error}");
    }

    #[test]
    fn totals_that_were_computed_otherwise_are_made_anew() {
        let definitions = Definitions::load(None).expect("shipped files are right");
        for (file, text) in SHIPPED {
            let of_text = hex(&Sha256::digest(text));
            let Some(mart) =
                definitions.marts.iter().find(|mart| file == format!("{}.sql", mart.shape.name))
            else {
                continue;
            };
            assert_eq!(mart.fingerprint == of_text, mart.partial.is_none(), "{file}");
        }
    }
}
