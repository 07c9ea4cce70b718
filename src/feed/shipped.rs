//! Shipped columns: those of the markets' tables, which tidegate itself declares.

use crate::feed::column::DeclaredColumn;
use crate::feed::dataset::{Lines, Owner};
use entity::{TableShape, market_tables};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Which of a dataset's tables the columns belong to that tidegate itself declares.
pub(super) fn shipped_columns(
    dataset: &str,
    table: &str,
    lines: Option<&Lines>,
    columns: &BTreeMap<String, Arc<DeclaredColumn>>,
) -> Result<BTreeMap<String, Owner>, String> {
    // A dataset is made for every file that no other one matches.
    static SHIPPED: LazyLock<Vec<TableShape>> = LazyLock::new(market_tables);
    let mut owners = BTreeMap::new();
    for shape in SHIPPED.iter() {
        let owner = match &shape.name {
            name if name == table => Owner::Record,
            name if lines.is_some_and(|lines| *name == lines.table) => Owner::Line,
            _ => continue,
        };
        let own = shape
            .columns
            .iter()
            .filter(|column| !column.name.starts_with('_') && !shape.key.contains(&column.name));
        for column in own.filter(|column| column.name != "line_count") {
            owners.insert(column.name.clone(), owner);
            let kind = columns.get(&column.name).and_then(|declared| declared.kind());
            if let Some(kind) = kind.filter(|kind| *kind != column.kind) {
                return Err(format!(
                    "datasets.{dataset}.columns.{}.type: the column of table {} holds {}, not {}; leave `type` out, or \
                     give the column another name",
                    column.name,
                    shape.name,
                    column.kind.name(),
                    kind.name()
                ));
            }
        }
    }
    Ok(owners)
}
