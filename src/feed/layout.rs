//! Layout: which column of a file is which column of which table. Column names are made here, clashes
//! get their suffix here, and what tables lack or cannot hold becomes a [`SchemaChange`] here.

use crate::chunk::Chunk;
use crate::feed::dataset::{Dataset, OnTypeChange, Owner};
use crate::feed::inference::Inference;
use crate::feed::json_settings::JsonSettings;
use crate::values::number::NumberRules;
use crate::values::spreadsheet::unguarded;

pub use entity::{ColumnShape, IDENTIFIER_CHARS_MAX, Kind, ROW_HASH, TableShape};
use regex::Regex;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::iter::once;
use unicode_normalization::UnicodeNormalization;

/// Longest column name, in bytes: what PostgreSQL keeps of an identifier.
pub const NAME_BYTES_MAX: usize = 63;

/// The column that says which currency the amounts of a row are in.
const CURRENCY_SYMBOL: &str = "currency_symbol";

/// Columns every table has for itself; a file's column of that name gets a suffix.
const RESERVED: [&str; 3] = ["market", "line_no", "line_count"];

/// Names that one of the databases keeps for itself, so that a file's column gets a suffix on all of them: PostgreSQL's
/// system columns (its manual, section 5.5), the number of a row on SQLite, and InnoDB's own columns.
const KEPT_BY_DATABASES: [&str; 11] = [
    "cmax",
    "cmin",
    "ctid",
    "db_roll_ptr",
    "db_row_id",
    "db_trx_id",
    "fts_doc_id",
    "rowid",
    "tableoid",
    "xmax",
    "xmin",
];

/// MariaDB and MySQL write names in at most three bytes a character, which ends with the Basic Multilingual Plane.
pub const LAST_NAME_CHAR: char = '\u{ffff}';

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
    /// Name in the table if nothing else had it.
    pub own_name: String,
    /// Where it goes.
    pub role: Role,
    /// What it holds; `None` until the data has said so.
    pub kind: Option<Kind>,
    /// How its numbers are written.
    pub rules: NumberRules,
    /// Whether the file has two currencies in it that contradict each other, and nothing says which one is right.
    pub has_two_currencies: bool,
    /// What stood beside its amounts so far, where it was found in files.
    pub currency: Option<String>,
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
        is_open.then(|| Inference::new(&self.name, self.kind, self.rules.clone(), self.currency.clone()))
    }

    /// Whether of an object with lines only the first row has it: it belongs to the record, and is no member of lines.
    pub fn is_of_first_row(&self, json: &JsonSettings) -> bool {
        self.role == Role::Column(Owner::Record) && !json.is_of_lines(&self.raw_name)
    }

    /// Whether its values are numbers.
    pub const fn holds_numbers(&self) -> bool {
        matches!(self.role, Role::Column(_)) && matches!(self.kind, Some(Kind::Integer | Kind::Decimal | Kind::Double))
    }

    /// Whether it says which currency the amounts of its row are in.
    pub fn is_currency_symbol(&self) -> bool {
        matches!(self.role, Role::Column(_)) && self.name == CURRENCY_SYMBOL
    }

    /// Whether a value that does not fit cannot be loaded.
    pub fn is_strict(&self) -> bool {
        self.on_type_change == Some(OnTypeChange::Reject)
    }

    /// Takes over what the table says of the column.
    fn adopt(&mut self, stored: &ColumnShape, dataset: &Dataset) {
        // One that has had no value yet takes its kind from the first ones.
        self.kind = (!stored.is_empty).then_some(stored.kind);
        self.rules.is_declared = stored.is_declared;
        self.on_type_change = Some(dataset.on_type_change(stored));
    }
}

/// The columns of a file, in the file's order.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Every column, padding included.
    pub columns: Vec<LayoutColumn>,
    taken: HashSet<String>,
    names: Names,
}

/// What names the columns of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// The cells of a header.
    Cells,
    /// The paths of members of JSON objects.
    Members,
    /// A header that tidegate wrote, of rows of either kind.
    Correction,
}

impl Names {
    /// Which table a column goes to.
    fn owner(self, raw_name: &str, name: &str, dataset: &Dataset, shapes: &Shapes) -> Owner {
        let has = |owner: Owner| shapes.get(dataset.table_of(owner)).is_some_and(|shape| shape.column(name).is_some());
        match self {
            Self::Cells => dataset.owner(name),
            Self::Members => dataset.member_owner(raw_name, name),
            // The file that it corrects may have been of objects with lines: then its columns are in their tables.
            Self::Correction if dataset.json.lines.is_some() && !dataset.declares(name) => {
                match (has(Owner::Record), has(Owner::Line)) {
                    _ if dataset.json.is_of_lines(raw_name) => Owner::Line,
                    (true, false) => Owner::Record,
                    (false, true) => Owner::Line,
                    _ => dataset.owner(name),
                }
            }
            Self::Correction => dataset.owner(name),
        }
    }
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
            own_name: String::new(),
            role,
            kind: None,
            rules: NumberRules::default(),
            has_two_currencies: false,
            currency: None,
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
        Self { columns: Vec::new(), taken: RESERVED.map(str::to_owned).into(), names: Names::Members }
    }

    /// The layout of JSON objects with these members, by their paths.
    pub fn of_members(paths: &[String], dataset: &Dataset, shapes: &Shapes) -> Self {
        let mut layout = Self::empty();
        for path in paths {
            layout.push(path, dataset, shapes);
        }
        layout
    }

    /// The layout of a CSV header.
    pub fn of_header(header: &[String], dataset: &Dataset, shapes: &Shapes) -> Self {
        let is_correction = NOTES.iter().all(|note| header.iter().any(|cell| cell == note));
        let names = if is_correction { Names::Correction } else { Names::Cells };
        let mut layout = Self { names, ..Self::empty() };
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
        let names = self.names;
        let role = |name: &str| match name == dataset.key {
            true => Role::Key,
            false => Role::Column(names.owner(raw_name, name, dataset, shapes)),
        };
        let shape_for = |name: &str| match role(name) {
            Role::Column(owner) => shapes.get(dataset.table_of(owner)),
            _ => shapes.get(&dataset.table),
        };
        let name = self.free_name(&own_name, shape_for);
        let stored = shape_for(&name).and_then(|shape| shape.column(&name));
        let mut column = LayoutColumn {
            raw_name: raw_name.to_owned(),
            role: role(&name),
            kind: None,
            rules: dataset.number_rules(&name),
            has_two_currencies: false,
            currency: dataset.number_form(&name).and_then(|form| form.currency.clone()),
            on_type_change: None,
            swallows: dataset.swallows(&name),
            form: dataset.form(&name).cloned(),
            extract: dataset.extract(&name).cloned(),
            is_renamed: name != own_name,
            own_name,
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

    /// Whether a row of a chunk does not have a column, which says nothing of its value.
    pub fn is_absent(&self, chunk: &Chunk, row: usize, column: usize, json: &JsonSettings) -> bool {
        // Both are sorted: the reader meets rows in order.
        let is_later_line = || chunk.later_lines.binary_search(&row).is_ok();
        (self.columns[column].is_of_first_row(json) && is_later_line())
            || chunk.absent.binary_search(&(row, column)).is_ok()
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
                    column: match column.kind {
                        Some(kind) => ColumnShape::found(column.name.clone(), kind),
                        None => ColumnShape::found_empty(column.name.clone()),
                    },
                    widened_from: None,
                    // PostgreSQL stores no NUL in text.
                    renamed_from: column.is_renamed.then(|| column.raw_name.replace('\0', "\\x00")),
                });
                continue;
            };
            let needed = match column.kind {
                Some(kind) if stored.is_empty => kind,
                Some(kind) => stored.kind.joined(kind),
                None => stored.kind,
            };
            let is_settled = stored.is_empty && column.kind.is_some();
            if (is_settled || needed != stored.kind) && dataset.on_type_change(stored) == OnTypeChange::Widen {
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

    /// The name, or the first one with a suffix that no other column of the file or of its table has, and that no
    /// database keeps for itself.
    fn free_name<'s>(&mut self, own_name: &str, shape_for: impl Fn(&str) -> Option<&'s TableShape>) -> String {
        let mut name = shortened(own_name, "");
        let mut suffix = 2;
        loop {
            let shape = shape_for(&name);
            let is_stored = shape.is_some_and(|shape| shape.column(&name).is_some());
            // A table of an older release may have such a column.
            let is_kept = !is_stored && KEPT_BY_DATABASES.contains(&name.as_str());
            if !is_kept && !shape.is_some_and(|shape| has_same_to_database(shape, &name)) {
                let folded = folded(&name).into_owned();
                if self.taken.insert(folded) {
                    return name;
                }
            }
            name = shortened(own_name, &format!("_{suffix}"));
            suffix += 1;
        }
    }
}

/// Whether a table has a column with another name that a database takes for this one.
fn has_same_to_database(shape: &TableShape, name: &str) -> bool {
    let own = folded(name);
    // Names are lower case, so two of ASCII are the same only if they are equal.
    let others =
        shape.columns.iter().filter(|column| column.name != name && !(name.is_ascii() && column.name.is_ascii()));
    others.into_iter().any(|column| folded(&column.name) == own)
}

/// A name without what MariaDB does not tell apart in names (its collation utf8mb3_general_ci, compared letter by letter):
/// accents of Latin, Greek and Cyrillic letters, and other forms of a few of them.
fn folded(name: &str) -> Cow<'_, str> {
    const FIRST_OTHER_SCRIPT: char = '\u{600}';
    if name.is_ascii() {
        return Cow::Borrowed(name);
    }
    let plain = |letter: char| match once(letter).nfd().next().unwrap_or(letter) {
        base if letter == 'й' || base >= FIRST_OTHER_SCRIPT => letter,
        'ß' | 'ſ' => 's',
        'ı' => 'i',
        'µ' => 'μ',
        'ϐ' => 'β',
        'ϑ' => 'θ',
        'ϰ' => 'κ',
        'ϖ' => 'π',
        'ϱ' => 'ρ',
        'ς' | 'ϲ' => 'σ',
        'ϕ' => 'φ',
        base => base,
    };
    Cow::Owned(name.chars().map(plain).collect())
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

/// A header's name as a column: letters composed, lower case, every run of other characters one `_`, ends trimmed.
/// Letters that not every database has in names are other characters.
pub fn column_name(raw_name: &str) -> String {
    let mut name = String::with_capacity(raw_name.len());
    for c in raw_name.nfc().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() && c <= LAST_NAME_CHAR {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

/// The column that a name in the configuration means: as [`column_name`], with the suffix that a file's column of that
/// name gets.
pub fn declared_name(raw_name: &str) -> String {
    match column_name(raw_name) {
        name if RESERVED.contains(&name.as_str()) || KEPT_BY_DATABASES.contains(&name.as_str()) => format!("{name}_2"),
        name => shortened(&name, ""),
    }
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
            ("__proto__", "proto"),
            ("Pre\u{301}nom", "prénom"),
            ("𠮷野家", "野家"),
            ("𠮷 🅰 😀", ""),
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
        let mut free_name = || layout.free_name(&long, |_| None);
        let (first, second) = (free_name(), free_name());
        assert!(first.len() <= NAME_BYTES_MAX && second.len() <= NAME_BYTES_MAX);
        assert!(second.ends_with("_2") && first != second);
    }

    #[test]
    fn names_that_a_database_keeps_or_takes_for_another_get_a_suffix() {
        let mut shape = TableShape::found("stock", vec!["market".to_owned()]);
        shape.columns.push(ColumnShape::found("größe".to_owned(), Kind::Text));
        let mut layout = Layout::empty();
        let mut free_name = |name: &str| layout.free_name(name, |_| Some(&shape));
        assert_eq!(["xmin", "xmin_2", "rowid"].map(&mut free_name), ["xmin_2", "xmin_2_2", "rowid_2"]);
        assert_eq!(["café", "cafe", "cafè"].map(&mut free_name), ["café", "cafe_2", "cafè_3"]);
        assert_eq!(["grosse", "größe", "grose"].map(&mut free_name), ["grosse", "größe", "grose_2"]);
        assert_eq!(["かき", "がき", "край", "краи"].map(&mut free_name), ["かき", "がき", "край", "краи"]);
    }
}
