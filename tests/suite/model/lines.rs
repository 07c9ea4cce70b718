//! Lines of the model: which stored line a row of a file is, where its record may lack rows.

use crate::model::feed::{Column, Feed, Kind, Value};
use crate::model::file::Row;
use crate::model::stored::Stored;
use std::collections::BTreeSet;

/// Where lines belong among the stored ones when some may be missing: the same, else the one most
/// like it, else behind them.
pub fn places(
    feed: Feed,
    lines: &[&Row],
    columns: &BTreeSet<&'static str>,
    stored: &[Stored],
) -> Vec<usize> {
    let compared: Vec<&Column> = feed
        .columns()
        .iter()
        .filter(|column| column.is_line && columns.contains(column.name))
        .collect();
    let own = |row: &Row, column: &Column| row.cells.get(column.name).and_then(Value::stored);
    let old = |line: usize, column: &Column| stored[line].values.get(column.name).cloned();
    let is_id = |column: &&&Column| matches!(column.kind, Kind::Ids(_));
    let mut places: Vec<Option<usize>> = vec![None; lines.len()];
    let free = |places: &[Option<usize>]| -> Vec<usize> {
        (0..stored.len()).filter(|line| !places.contains(&Some(*line))).collect()
    };
    for (number, row) in lines.iter().enumerate() {
        let same =
            |line: &usize| compared.iter().all(|column| own(row, column) == old(*line, column));
        places[number] = free(&places).into_iter().find(same);
    }
    for (number, row) in lines.iter().enumerate().filter(|_| !compared.is_empty()) {
        if places[number].is_some() {
            continue;
        }
        let has_id = compared.iter().filter(is_id).any(|column| own(row, column).is_some());
        let shared = |line: usize| {
            let filled: Vec<&&Column> = compared
                .iter()
                .filter(|column| own(row, column).is_some() || old(line, column).is_some())
                .collect();
            (
                filled.iter().filter(|column| own(row, column) == old(line, column)).count(),
                filled.len(),
            )
        };
        let has_its_ids = |line: &usize| {
            compared.iter().filter(is_id).all(|column| own(row, column) == old(*line, column))
        };
        let mut best: Option<(usize, usize)> = None;
        for line in free(&places).into_iter().filter(has_its_ids) {
            let (same, filled) = shared(line);
            if (has_id || 2 * same >= filled) && best.is_none_or(|(most, _)| same > most) {
                best = Some((same, line));
            }
        }
        places[number] = best.map(|(_, line)| line);
    }
    if (0..stored.len()).all(|line| places.contains(&Some(line))) {
        return (0..lines.len()).collect();
    }
    let mut next = stored.len()..;
    places
        .into_iter()
        .map(|place| place.or_else(|| next.next()).expect("there are numbers enough"))
        .collect()
}

/// The columns that a file has.
pub fn columns_of(rows: &[Row]) -> BTreeSet<&'static str> {
    rows.iter().filter(|row| row.has_columns).flat_map(|row| row.cells.keys().copied()).collect()
}

/// The name of a file without what its rejects have not.
pub fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".rejects.csv").unwrap_or(name);
    [".csv", ".tsv", ".json", ".ndjson"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
        .to_owned()
}
