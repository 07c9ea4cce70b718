//! Layout: which column of a file is which column of which table. Column names are made here, clashes
//! get their suffix here, and what tables lack or cannot hold becomes a [`SchemaChange`] here.

use crate::dataset::{Dataset, OnTypeChange, Owner};
use crate::inference::Inference;
use crate::spreadsheet::unguarded;
pub use entity::{ColumnShape, IDENTIFIER_CHARS_MAX, Kind, ROW_HASH, TableShape};
use regex::Regex;
use std::collections::{BTreeMap, HashSet};

/// Longest column name, in bytes: what PostgreSQL keeps of an identifier.
pub const NAME_BYTES_MAX: usize = 63;

/// Columns every table has for itself; a file's column of that name gets a suffix.
const RESERVED: [&str; 3] = ["market", "line_no", "line_count"];

/// The shapes of all tables, by name.
pub type Shapes = BTreeMap<String, TableShape>;

/// Where a file's column goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It identifies the record.
    Key,
    /// It is a column of that table.
    Column(Owner),
    /// An unnamed trailing column: padding.
    Padding,
    /// What tidegate wrote beside rejected rows: no data.
    Note,
}

/// The columns that tidegate writes behind those of rejected rows: their row, the column at fault, and why.
pub const NOTES: [&str; 3] = ["_row", "_column", "_reason"];

/// One column of a file.
#[derive(Clone, Debug)]
pub struct LayoutColumn {
    /// Name in the file.
    pub raw_name: String,
    /// Name in the table.
    pub name: String,
    /// Where it goes.
    pub role: Role,
    /// What it holds; `None` until the data has said so.
    pub kind: Option<Kind>,
    /// What it held before it became text.
    pub was: Option<Kind>,
    /// What becomes of a value that does not fit; `None` while no table has the column.
    pub on_type_change: Option<OnTypeChange>,
    /// Whether its delimiters may stand unquoted.
    pub swallows: bool,
    /// Pattern of its values.
    pub form: Option<Regex>,
    /// Pattern whose first group is the value.
    pub extract: Option<Regex>,
    /// Whether its own name was taken.
    pub is_renamed: bool,
}

impl LayoutColumn {
    /// Collects what the values have in common, where they decide what the column holds.
    pub fn inference(&self) -> Option<Inference> {
        let Role::Column(_) = self.role else { return None };
        let is_open = self.on_type_change.is_none_or(|wanted| wanted == OnTypeChange::Widen);
        is_open.then(|| Inference::new(&self.name, self.kind))
    }

    /// Whether a value that does not fit cannot be loaded.
    pub fn is_strict(&self) -> bool {
        self.on_type_change == Some(OnTypeChange::Reject)
    }

    /// Takes over what the table says of the column.
    fn adopt(&mut self, stored: &ColumnShape, dataset: &Dataset) {
        self.kind = Some(stored.kind);
        self.was = stored.was;
        self.on_type_change = Some(dataset.on_type_change(stored));
    }
}

/// The columns of a file, in the file's order.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Every column, padding included.
    pub columns: Vec<LayoutColumn>,
    taken: HashSet<String>,
}

/// A column that a table needs, or needs otherwise, before a file's rows can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// The table.
    pub table: String,
    /// The column as it is to be.
    pub column: ColumnShape,
    /// What the column holds before; `None` for one that is added.
    pub widened_from: Option<Kind>,
    /// The name in the file, when a clash changed it.
    pub renamed_from: Option<String>,
}

impl LayoutColumn {
    fn without_data(raw_name: &str, role: Role) -> Self {
        Self {
            raw_name: raw_name.to_owned(),
            name: String::new(),
            role,
            kind: None,
            was: None,
            on_type_change: None,
            swallows: false,
            form: None,
            extract: None,
            is_renamed: false,
        }
    }
}

impl Layout {
    /// A layout without columns: JSON files name theirs as they go.
    pub fn empty() -> Self {
        Self { columns: Vec::new(), taken: RESERVED.map(str::to_owned).into() }
    }

    /// The layout of a CSV header.
    pub fn of_header(header: &[String], dataset: &Dataset, shapes: &Shapes) -> Self {
        let mut layout = Self::empty();
        let is_correction = NOTES.iter().all(|note| header.iter().any(|cell| cell == note));
        let named = header.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
        for raw_name in &header[..named] {
            if is_correction && NOTES.contains(&raw_name.as_str()) {
                layout.columns.push(LayoutColumn::without_data(raw_name, Role::Note));
            } else {
                layout.push(if is_correction { unguarded(raw_name) } else { raw_name }, dataset, shapes);
            }
        }
        for raw_name in &header[named..] {
            layout.columns.push(LayoutColumn::without_data(raw_name, Role::Padding));
        }
        // A row that was not corrected must not be taken for a shifted one.
        layout.columns.iter_mut().for_each(|column| column.swallows &= !is_correction);
        layout
    }

    /// Whether it is of a corrected copy of rejected rows.
    pub fn is_correction(&self) -> bool {
        self.columns.iter().any(|column| column.role == Role::Note)
    }

    /// Adds a column and returns its index.
    pub fn push(&mut self, raw_name: &str, dataset: &Dataset, shapes: &Shapes) -> usize {
        let own_name = match column_name(raw_name) {
            name if name.is_empty() => format!("column_{}", self.columns.len() + 1),
            name => name,
        };
        let name = self.free_name(&own_name);
        let role = if name == dataset.key { Role::Key } else { Role::Column(dataset.owner(&name)) };
        let table = match role {
            Role::Column(owner) => dataset.table_of(owner),
            Role::Key | Role::Padding | Role::Note => &dataset.table,
        };
        let stored = shapes.get(table).and_then(|shape| shape.column(&name));
        let mut column = LayoutColumn {
            raw_name: raw_name.to_owned(),
            role,
            kind: None,
            was: None,
            on_type_change: None,
            swallows: dataset.swallows(&name),
            form: dataset.form(&name).cloned(),
            extract: dataset.extract(&name).cloned(),
            is_renamed: name != own_name,
            name,
        };
        if let Some(stored) = stored {
            column.adopt(stored, dataset);
        }
        self.columns.push(column);
        self.columns.len() - 1
    }

    /// Index of the column that identifies the record.
    pub fn key(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.role == Role::Key)
    }

    /// Number of columns that are not padding.
    pub fn named(&self) -> usize {
        self.columns.iter().filter(|column| column.role != Role::Padding).count()
    }

    /// What the tables lack or cannot hold, once every kind is known.
    pub fn reconcile(&self, dataset: &Dataset, shapes: &Shapes) -> Vec<SchemaChange> {
        let mut changes = Vec::new();
        for column in &self.columns {
            let Role::Column(owner) = column.role else { continue };
            let table = dataset.table_of(owner);
            let Some(stored) = shapes.get(table).and_then(|shape| shape.column(&column.name)) else {
                changes.push(SchemaChange {
                    table: table.to_owned(),
                    column: ColumnShape::found(column.name.clone(), column.kind.unwrap_or(Kind::Text)),
                    widened_from: None,
                    // PostgreSQL stores no NUL in text.
                    renamed_from: column.is_renamed.then(|| column.raw_name.replace('\0', "\\x00")),
                });
                continue;
            };
            let needed = column.kind.map_or(stored.kind, |kind| stored.kind.joined(kind));
            if needed != stored.kind && dataset.on_type_change(stored) == OnTypeChange::Widen {
                let mut widened = stored.clone();
                widened.widen(needed);
                changes.push(SchemaChange {
                    table: table.to_owned(),
                    column: widened,
                    widened_from: Some(stored.kind),
                    renamed_from: None,
                });
            }
        }
        changes
    }

    /// Takes the kinds that the columns have in their tables.
    pub fn adopt_kinds(&mut self, dataset: &Dataset, shapes: &Shapes) {
        for column in &mut self.columns {
            let Role::Column(owner) = column.role else { continue };
            let stored = shapes.get(dataset.table_of(owner)).and_then(|shape| shape.column(&column.name));
            if let Some(stored) = stored {
                column.adopt(stored, dataset);
            }
        }
    }

    fn free_name(&mut self, own_name: &str) -> String {
        let mut name = shortened(own_name, "");
        let mut suffix = 2;
        while !self.taken.insert(name.clone()) {
            name = shortened(own_name, &format!("_{suffix}"));
            suffix += 1;
        }
        name
    }
}

/// The key of the table that an owner's columns of a dataset go to.
pub fn key_of(dataset: &Dataset, owner: Owner) -> Vec<String> {
    let of_record = ["market", &dataset.key];
    let line_no = (owner == Owner::Line && dataset.lines.is_some()).then_some("line_no");
    of_record.into_iter().chain(line_no).map(str::to_owned).collect()
}

/// The tables that a dataset writes to and nobody made so far.
pub fn lacking_tables(dataset: &Dataset, shapes: &Shapes) -> Vec<TableShape> {
    let mut lacking = Vec::new();
    for owner in [Owner::Record, Owner::Line] {
        let table = dataset.table_of(owner);
        if shapes.contains_key(table) || lacking.iter().any(|shape: &TableShape| shape.name == table) {
            continue;
        }
        let mut shape = TableShape::found(table, key_of(dataset, owner));
        if owner == Owner::Record && dataset.lines.is_some() {
            shape.columns.push(ColumnShape::found("line_count".to_owned(), Kind::Integer));
        }
        lacking.push(shape);
    }
    lacking
}

/// A header's name as a column: lower case, every run of other characters one `_`, ends trimmed.
pub fn column_name(raw_name: &str) -> String {
    let mut name = String::with_capacity(raw_name.len());
    for c in raw_name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

/// The name with its suffix, cut to what every database keeps.
pub fn shortened(name: &str, suffix: &str) -> String {
    let mut end = name.len().min(NAME_BYTES_MAX - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", name[..end].trim_end_matches('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (raw_name, expected) in [
            ("Distance (in km)", "distance_in_km"),
            ("Total_Time_Taken(min)", "total_time_taken_min"),
            ("Number of Employees", "number_of_employees"),
            ("__x--", "x"),
            ("x\"; DROP TABLE orders; --", "x_drop_table_orders"),
            ("", ""),
        ] {
            assert_eq!(column_name(raw_name), expected);
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let mut layout = Layout::empty();
        let long = "é".repeat(60);
        let (first, second) = (layout.free_name(&long), layout.free_name(&long));
        assert!(first.len() <= NAME_BYTES_MAX && second.len() <= NAME_BYTES_MAX);
        assert!(second.ends_with("_2") && first != second);
    }
}
