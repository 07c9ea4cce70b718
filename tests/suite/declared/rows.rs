//! Rows: the records of a table with their lines, as they stand in its file one after another.

use super::cells::Kind;
use super::moments::Said;
use super::table::{Cell, Column, Form, Row, Table, Value};
use fastrand::Rng;
use std::collections::HashSet;

/// Texts of a key's column that others of the same table have, too.
const SHARED_PARTS: u8 = 3;

/// Makes the rows of a table.
pub fn fill(random: &mut Rng, table: &mut Table) {
    let mut seen = HashSet::new();
    let records = random.usize(1..7);
    let mut rows = Vec::new();
    for record in 0..records {
        let key = new_key(random, table, &mut seen);
        let of_record: Vec<Cell> = (0..table.columns.len())
            .map(|column| table.columns[column].maker.cell(random, &table.alphabet))
            .collect();
        let is_nested = matches!(table.form, Form::Nested { .. });
        let lines = match table.lines_table {
            None => 1,
            Some(_) if is_nested => random.usize(..5),
            Some(_) => random.usize(1..5),
        };
        for line in 0..lines.max(1) {
            rows.push(row(random, table, record, &key, &of_record, [line > 0, lines == 0]));
        }
        repeat(random, table, &mut rows, &key);
    }
    arrange(random, table, &mut rows);
    // A row without anything in it is blank, and none of a file of cells.
    let is_blank = |row: &Row| row.cells.iter().flatten().all(|cell| cell.text.trim().is_empty());
    rows.retain(|row| table.form != Form::Csv || !is_blank(row));
    copy(table, &mut rows);
    add_totals(random, table, &mut rows);
    forget_stand_in(table, &mut rows);
    table.rows = rows;
}

/// Takes away what is called as the table calls a column whose own member no object has: that would
/// stand in for it.
fn forget_stand_in(table: &Table, rows: &mut [Row]) {
    let Some(namesake) = table.columns.iter().position(|column| column.is_namesake) else { return };
    let other = table.columns.iter().position(|column| {
        column.has_from() && format!("{}_2", column.name) == table.columns[namesake].name
    });
    let other = other.expect("it has another's name");
    if table.form != Form::Csv && rows.iter().all(|row| row.cells[other].is_none()) {
        rows.iter_mut().for_each(|row| row.cells[namesake] = None);
    }
}

/// Cells of the columns of a key that no other record has.
fn new_key(random: &mut Rng, table: &Table, seen: &mut HashSet<Vec<Value>>) -> Vec<(usize, Cell)> {
    let columns = table.key();
    loop {
        let mut cells = Vec::new();
        for &column in &columns {
            let maker = &table.columns[column].maker;
            // Often only one of several parts tells two records apart.
            let cell = match columns.len() > 1 && random.bool() {
                true => maker.shared_cell(random.u8(..SHARED_PARTS), &table.alphabet),
                false => maker.cell(random, &table.alphabet),
            };
            cells.push((column, cell));
        }
        let values: Vec<Value> = cells.iter().map(|(_, cell)| cell.value.clone()).collect();
        let is_whole = values.iter().all(|value| *value != Value::Null);
        // A key that says the names of its columns is a reject: the header of another file.
        let is_name = |(column, cell): &(usize, Cell)| {
            cell.text.trim() == table.columns[*column].in_file.trim()
        };
        let is_header = !cells.is_empty() && cells.iter().all(is_name);
        if is_whole && !is_header && (columns.is_empty() || seen.insert(values)) {
            return cells;
        }
    }
}

fn row(
    random: &mut Rng,
    table: &Table,
    record: usize,
    key: &[(usize, Cell)],
    of_record: &[Cell],
    [is_later, is_bare]: [bool; 2],
) -> Row {
    let is_nested = matches!(table.form, Form::Nested { .. });
    let cell = |(column, own): (usize, &Column)| {
        if let Some((_, cell)) = key.iter().find(|(part, _)| *part == column) {
            return Some(cell.clone());
        }
        if is_bare && own.is_in_line {
            return None;
        }
        // An object has what belongs to it once.
        let is_once = is_nested && !own.is_in_line;
        let cell = match () {
            () if is_once => of_record[column].clone(),
            () if own.is_of_line || random.u8(..12) == 0 => own.maker.cell(random, &table.alphabet),
            () => of_record[column].clone(),
        };
        let may_lack = table.form != Form::Csv && (record > 0 || is_later) && !is_once;
        (!(may_lack && random.u8(..10) == 0)).then_some(cell)
    };
    Row {
        record,
        cells: table.columns.iter().enumerate().map(cell).collect(),
        is_bare,
        is_total: false,
    }
}

/// Gives a record once more, or one of its lines.
fn repeat(random: &mut Rng, table: &Table, rows: &mut Vec<Row>, key: &[(usize, Cell)]) {
    if random.u8(..5) > 0 {
        return;
    }
    let last = rows.last().expect("there is one").clone();
    if last.is_bare {
        return;
    }
    match table.repeated_keys {
        Some(_) if !table.is_keyless() && random.bool() => {
            let others: Vec<Cell> = (table.columns.iter())
                .map(|column| column.maker.cell(random, &table.alphabet))
                .collect();
            rows.push(row(random, table, last.record, key, &others, [true, false]));
        }
        _ => rows.push(last),
    }
}

/// Puts the rows in the order of the file: those of a record one behind the other, or apart.
fn arrange(random: &mut Rng, table: &Table, rows: &mut [Row]) {
    if matches!(table.form, Form::Nested { .. }) || random.u8(..3) > 0 {
        return;
    }
    random.shuffle(rows);
}

/// Takes over what other columns have.
fn copy(table: &Table, rows: &mut [Row]) {
    for (index, column) in table.columns.iter().enumerate() {
        let Some(source) = column.copy_of else { continue };
        for row in rows.iter_mut() {
            row.cells[index] = row.cells[source].as_ref().map(|cell| copied(cell, column));
        }
    }
}

fn copied(cell: &Cell, column: &Column) -> Cell {
    let text = cell.text.trim();
    // `null` of JSON is an empty cell.
    let is_null = cell.raw.as_deref() == Some("null")
        || text.is_empty() && !column.maker.is_json
        || column.maker.tokens.contains(&text);
    let value = match column.maker.kind {
        _ if is_null => Value::Null,
        Kind::CopiedMoment => {
            cell.said.map_or(Value::Rescued, |said: Said| said.value_in(column.maker.zone))
        }
        _ => Value::Text(cell.text.clone()),
    };
    Cell { value, ..cell.clone() }
}

/// Rows that are no data.
fn add_totals(random: &mut Rng, table: &Table, rows: &mut Vec<Row>) {
    let Some(totals) = table.totals else { return };
    let is_nested = matches!(table.form, Form::Nested { .. });
    for number in 0..random.usize(1..3) {
        let word = ["Total", "Summe", "Total of all"][random.usize(..3)];
        if table.columns[totals].is_in_line {
            add_total_line(random, table, rows, (totals, word));
            continue;
        }
        let cells = table.columns.iter().enumerate().map(|(index, column)| match index {
            _ if column.is_in_line => None,
            _ if index == totals => Some(Cell::of(word, Value::Null)),
            _ if column.is_filled || random.bool() => Some(Cell::of("", Value::Null)),
            _ => Some(column.maker.cell(random, &table.alphabet)),
        });
        let record = usize::MAX - number;
        let row = Row { record, cells: cells.collect(), is_bare: true, is_total: true };
        // Lines of an object stay together.
        let at = if is_nested { rows.len() } else { random.usize(..=rows.len()) };
        // An object that is no data takes its lines along, of which each counts.
        let lines = if is_nested { random.usize(..4) } else { 0 };
        for _ in 0..lines {
            rows.push(Row { is_bare: false, ..with_line(random, table, &row) });
        }
        if lines == 0 {
            rows.insert(at, row);
        }
    }
}

/// A line that is no data, in front of any row of an object, or behind it.
fn add_total_line(
    random: &mut Rng,
    table: &Table,
    rows: &mut Vec<Row>,
    (totals, word): (usize, &str),
) {
    let beside = random.usize(..rows.len());
    let mut row = with_line(random, table, &rows[beside]);
    row.cells[totals] = Some(Cell::of(word, Value::Null));
    let row = Row { is_bare: false, is_total: true, ..row };
    rows.insert(beside + random.usize(..2), row);
}

/// A row with other cells of a line.
fn with_line(random: &mut Rng, table: &Table, row: &Row) -> Row {
    let cells = row.cells.iter().zip(&table.columns).map(|(cell, column)| {
        match column.is_in_line && column.copy_of.is_none() {
            true => random.bool().then(|| column.maker.cell(random, &table.alphabet)),
            false => cell.clone(),
        }
    });
    Row { cells: cells.collect(), ..row.clone() }
}
