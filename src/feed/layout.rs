//! Layout: which column of a file is which column of which table. Column names are made here,
//! clashes get their suffix here, and what tables lack or cannot hold becomes a [`SchemaChange`]
//! here.

use crate::chunk::Chunk;
use crate::feed::column::DeclaredColumn;
use crate::feed::dataset::{Dataset, OnTypeChange, Owner};
use crate::feed::json_settings::JsonSettings;
use crate::values::spreadsheet::unguarded;

use crate::feed::names::{KEPT_BY_DATABASES, RESERVED, folded, has_same_to_database};

pub use crate::feed::layout_column::{KeyPart, LayoutColumn, Role};
pub use crate::feed::names::{
    LAST_NAME_CHAR, NAME_BYTES_MAX, column_name, declared_name, name_at, shortened, spoken_name,
};
pub use entity::{ColumnShape, IDENTIFIER_CHARS_MAX, Kind, ROW_HASH, TableShape};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The shapes of all tables, by name.
pub type Shapes = BTreeMap<String, TableShape>;

/// The columns that tidegate writes behind those of rejected rows: their row, the column at fault,
/// and why.
pub const NOTES: [&str; 3] = ["_row", "_column", "_reason"];

/// The columns of a file, in the file's order.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Every column of the file, padding included.
    pub columns: Vec<LayoutColumn>,
    /// More columns that take their values from one of the file's.
    pub copies: Vec<ColumnCopy>,
    /// Names that the file is known to have, as columns would be called.
    known_names: Vec<String>,
    taken: HashSet<String>,
    names: Names,
}

/// How the columns of a file are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// The cells of a header.
    Cells,
    /// The paths of members of JSON objects.
    Members,
    /// A header that tidegate wrote, for rows of either format.
    Correction,
}

impl Names {
    /// Where a column goes.
    fn role(self, raw_name: &str, name: &str, dataset: &Dataset, shapes: &Shapes) -> Role {
        match (dataset.key.part(name), dataset.stored_in(name)) {
            (Some(part), _) => Role::Key(part),
            (None, Some(_)) => Role::Column(self.owner(raw_name, name, dataset, shapes)),
            (None, None) => Role::Ignored,
        }
    }

    /// The table that a column goes to, as far as it is there.
    fn shape_for<'s>(
        self,
        raw_name: &str,
        name: &str,
        dataset: &Dataset,
        shapes: &'s Shapes,
    ) -> Option<&'s TableShape> {
        shapes.get(match self.role(raw_name, name, dataset, shapes) {
            Role::Column(owner) => dataset.table_of(owner),
            _ => &dataset.table,
        })
    }

    /// Which table a column goes to.
    fn owner(self, raw_name: &str, name: &str, dataset: &Dataset, shapes: &Shapes) -> Owner {
        let has = |owner: Owner| {
            shapes.get(dataset.table_of(owner)).is_some_and(|shape| shape.column(name).is_some())
        };
        match self {
            Self::Cells => dataset.owner(name),
            Self::Members => dataset.member_owner(raw_name, name),
            // The file that it corrects may have been of objects with lines: then its columns are
            // in their tables.
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

/// A column of a table that takes its values from a column of the file which feeds another one too.
#[derive(Clone, Debug)]
pub struct ColumnCopy {
    /// Index of the file's column.
    pub source: usize,
    /// What it is to its table.
    pub column: LayoutColumn,
}

impl ColumnCopy {
    /// The member of a rewritten JSON object that has the copy's value, where that is written
    /// otherwise than its source's: numbers of JSON are clear, and two columns may read `.` and `,`
    /// in different ways. Names of exports have no NUL in them.
    pub fn member_name(&self, raw_name: &str) -> String {
        format!("{raw_name}\0{}", self.column.name)
    }
}

/// A column that a table must get, or must change, before a file's rows can be written.
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

impl Layout {
    /// A layout without columns: JSON files add them while they are read.
    pub fn empty() -> Self {
        Self {
            columns: Vec::new(),
            copies: Vec::new(),
            known_names: Vec::new(),
            taken: RESERVED.map(str::to_owned).into(),
            names: Names::Members,
        }
    }

    /// The layout of JSON objects with these members, by their paths.
    pub fn of_members(paths: &[String], dataset: &Dataset, shapes: &Shapes) -> Self {
        let mut layout = Self::empty();
        layout.known_names = paths.iter().map(|path| spoken_name(path)).collect();
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
        let named =
            header.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
        layout.known_names = header[..named].iter().map(|name| spoken_name(name)).collect();
        for raw_name in &header[..named] {
            if is_correction && NOTES.contains(&raw_name.as_str()) {
                layout.columns.push(LayoutColumn::without_data(raw_name, Role::Note));
            } else {
                layout.push(
                    if is_correction { unguarded(raw_name) } else { raw_name },
                    dataset,
                    shapes,
                );
            }
        }
        for raw_name in &header[named..] {
            layout.columns.push(LayoutColumn::without_data(raw_name, Role::Padding));
        }
        // A row that was not corrected must not be taken for a shifted one.
        layout.columns.iter_mut().for_each(|column| column.swallows &= !is_correction);
        layout
    }

    /// The layout of a file that is known to have the columns of another one.
    pub fn again(known: &Self, dataset: &Dataset, shapes: &Shapes) -> Self {
        let known_names = known.columns.iter().map(|column| column.own_name.clone()).collect();
        let mut layout = Self { known_names, names: known.names, ..Self::empty() };
        for column in &known.columns {
            layout.push(&column.raw_name, dataset, shapes);
        }
        layout
    }

    /// The layout of a file with every column of which a dataset says what it holds; none, where it
    /// says that of no column.
    pub fn of_declaration(dataset: &Dataset, shapes: &Shapes) -> Self {
        let mut layout = Self { names: Names::Cells, ..Self::empty() };
        // In objects with lines, only the place of a member decides its table.
        let is_placed =
            |column: &DeclaredColumn| column.owner.is_some() || dataset.json.lines.is_none();
        let typed = dataset.columns().filter(|column| column.kind().is_some() && is_placed(column));
        let names: Vec<&str> = typed.map(|column| column.name.as_str()).collect();
        if names.is_empty() {
            return layout;
        }
        let keys = dataset.key.names().iter().map(String::as_str);
        let keys = keys.filter(|name| !dataset.is_keyless() && !names.contains(name));
        for name in keys.chain(names.iter().copied()) {
            let column = layout.column(name, name.to_owned(), name.to_owned(), dataset, shapes);
            layout.columns.push(column);
        }
        layout
    }

    /// Whether a declared column takes its values from another column than it would if all names
    /// of the file had been known before.
    pub fn came_too_early(&self, dataset: &Dataset) -> bool {
        let has = |name: &str| self.columns.iter().any(|column| column.own_name == name);
        self.all()
            .filter_map(|column| Some((column, dataset.column(&column.name)?)))
            .any(|(column, declared)| !declared.takes_from(&column.raw_name, &column.own_name, has))
    }

    /// Whether it belongs to a corrected copy of rejected rows.
    pub fn is_correction(&self) -> bool {
        self.columns.iter().any(|column| column.role == Role::Note)
    }

    /// Adds a column of the file, and the columns of tables that take their values from it, and
    /// returns its index.
    pub fn push(&mut self, raw_name: &str, dataset: &Dataset, shapes: &Shapes) -> usize {
        let index = self.columns.len();
        let own_name = match spoken_name(raw_name) {
            name if name.is_empty() => name_at(index, raw_name),
            name => name,
        };
        let is_first = !self.columns.iter().any(|column| column.own_name == own_name);
        let fed = if is_first { self.fed_by(raw_name, &own_name, dataset) } else { Vec::new() };
        let Some((first, others)) = fed.split_first() else {
            let column = self.undeclared(raw_name, own_name, dataset, shapes);
            self.columns.push(column);
            return index;
        };
        let column = self.declared(raw_name, &own_name, first, dataset, shapes);
        self.columns.push(column);
        for other in others {
            let column = self.declared(raw_name, &own_name, other, dataset, shapes);
            self.copies.push(ColumnCopy { source: index, column });
        }
        index
    }

    /// The declared columns that take their values from a file's column of that name: the key
    /// first, then those whose type tells most of what a cell may be.
    fn fed_by(
        &self,
        raw_name: &str,
        own_name: &str,
        dataset: &Dataset,
    ) -> Vec<Arc<DeclaredColumn>> {
        let has = |name: &str| self.known_names.iter().any(|known| known == name);
        let is_fed = |column: &&Arc<DeclaredColumn>| {
            column.takes_from(raw_name, own_name, has)
                && !self.taken.contains(&*folded(&column.name))
        };
        let mut fed: Vec<Arc<DeclaredColumn>> = dataset.columns().filter(is_fed).cloned().collect();
        fed.sort_by_key(|column| (!dataset.key.contains(&column.name), column.kind().is_none()));
        fed
    }

    /// A column that a dataset declares.
    fn declared(
        &mut self,
        raw_name: &str,
        own_name: &str,
        declared: &Arc<DeclaredColumn>,
        dataset: &Dataset,
        shapes: &Shapes,
    ) -> LayoutColumn {
        let name = declared.name.clone();
        self.taken.insert(folded(&name).into_owned());
        LayoutColumn {
            is_renamed: false,
            ..self.column(raw_name, own_name.to_owned(), name, dataset, shapes)
        }
    }

    /// An undeclared column. It may not have the name of a declared one.
    fn undeclared(
        &mut self,
        raw_name: &str,
        own_name: String,
        dataset: &Dataset,
        shapes: &Shapes,
    ) -> LayoutColumn {
        let is_anothers = |name: &str| dataset.column(name).is_some();
        let names = self.names;
        let shape_for = |name: &str| names.shape_for(raw_name, name, dataset, shapes);
        let stem = name_at(self.columns.len(), raw_name);
        let name = self.free_name(&stem, shape_for, is_anothers);
        let is_renamed = name != stem;
        LayoutColumn { is_renamed, ..self.column(raw_name, own_name, name, dataset, shapes) }
    }

    fn column(
        &self,
        raw_name: &str,
        own_name: String,
        name: String,
        dataset: &Dataset,
        shapes: &Shapes,
    ) -> LayoutColumn {
        let role = self.names.role(raw_name, &name, dataset, shapes);
        let declared = dataset.column(&name).cloned();
        let mut column = LayoutColumn {
            raw_name: raw_name.to_owned(),
            role,
            kind: None,
            rules: dataset.number_rules(&name),
            has_two_currencies: false,
            currency: dataset.number_form(&name).and_then(|form| form.currency.clone()),
            on_type_change: None,
            moments: dataset.moment_rules(&name),
            null_tokens: dataset.null_tokens_of(&name),
            swallows: declared.as_ref().is_some_and(|declared| declared.swallows),
            declared,
            is_renamed: name != own_name,
            own_name,
            name,
        };
        match self
            .names
            .shape_for(raw_name, &column.name, dataset, shapes)
            .and_then(|shape| shape.column(&column.name))
        {
            Some(stored) => column.adopt(stored, dataset),
            None => column.adopt_declaration(dataset),
        }
        column
    }

    /// All columns of tables: those of the file, then the copies.
    pub fn all(&self) -> impl Iterator<Item = &LayoutColumn> {
        self.columns.iter().chain(self.copies.iter().map(|copy| &copy.column))
    }

    /// The same, to change them.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut LayoutColumn> {
        self.columns.iter_mut().chain(self.copies.iter_mut().map(|copy| &mut copy.column))
    }

    /// One of [`Layout::all`].
    pub fn at(&self, index: usize) -> &LayoutColumn {
        match index.checked_sub(self.columns.len()) {
            None => &self.columns[index],
            Some(copy) => &self.copies[copy].column,
        }
    }

    /// One of [`Layout::all`].
    pub fn at_mut(&mut self, index: usize) -> &mut LayoutColumn {
        match index.checked_sub(self.columns.len()) {
            None => &mut self.columns[index],
            Some(copy) => &mut self.copies[copy].column,
        }
    }

    /// The column of the file that one of [`Layout::all`] takes its values from.
    pub fn source(&self, index: usize) -> usize {
        index.checked_sub(self.columns.len()).map_or(index, |copy| self.copies[copy].source)
    }

    /// The column of the file that feeds the declared column of this name, or else the one with
    /// this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let declared =
            self.all().position(|column| column.name == name && column.declared.is_some());
        let declared = declared.map(|index| self.source(index));
        declared
            .or_else(|| self.columns.iter().position(|column| column.own_name == name))
            .or_else(|| self.columns.iter().position(|column| column.name == name))
    }

    /// The file's column that says which currency the amounts of a row are in.
    pub fn currency_symbol(&self) -> Option<usize> {
        self.all().position(LayoutColumn::is_currency_symbol).map(|column| self.source(column))
    }

    /// What identifies the record, in the order of the key; without the parts that the file lacks.
    pub fn key(&self) -> Vec<KeyPart> {
        let own = self.columns.iter().enumerate();
        let own = own.map(|(source, column)| (column, KeyPart { source, copy: None }));
        let copies = self.copies.iter().enumerate();
        let copies = copies.map(|(index, copy)| {
            (&copy.column, KeyPart { source: copy.source, copy: Some(index) })
        });
        let part = |(column, key_part): (&LayoutColumn, KeyPart)| match column.role {
            Role::Key(part) => Some((part, key_part)),
            _ => None,
        };
        let mut parts: Vec<(usize, KeyPart)> = own.chain(copies).filter_map(part).collect();
        parts.sort_unstable_by_key(|&(part, _)| part);
        parts.into_iter().map(|(_, key_part)| key_part).collect()
    }

    /// The column that a part of the key is.
    pub fn key_column(&self, part: KeyPart) -> &LayoutColumn {
        part.copy.map_or_else(|| &self.columns[part.source], |copy| &self.copies[copy].column)
    }

    /// Whether a row of a chunk lacks a column. This says nothing about its value.
    pub fn is_absent(&self, chunk: &Chunk, row: usize, column: usize, json: &JsonSettings) -> bool {
        // Of CSV files, and of most objects, every row has every column.
        if chunk.absent.is_empty() && chunk.later_lines.is_empty() {
            return false;
        }
        // Both are sorted: the reader meets rows in order.
        let is_later_line = || chunk.later_lines.binary_search(&row).is_ok();
        (self.at(column).is_of_first_row(json) && is_later_line())
            || chunk.absent.binary_search(&(row, self.source(column))).is_ok()
    }

    /// Number of columns that are not padding.
    pub fn named(&self) -> usize {
        self.columns.iter().filter(|column| column.role != Role::Padding).count()
    }

    /// Changes that the tables need, once every kind is known.
    pub fn reconcile(&self, dataset: &Dataset, shapes: &Shapes) -> Vec<SchemaChange> {
        let mut changes = Vec::new();
        for column in self.all() {
            let Role::Column(owner) = column.role else { continue };
            let table = dataset.table_of(owner);
            let Some(stored) = shapes.get(table).and_then(|shape| shape.column(&column.name))
            else {
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
            if (is_settled || needed != stored.kind)
                && dataset.on_type_change(stored) == OnTypeChange::Widen
            {
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
        for column in self.all_mut() {
            let Role::Column(owner) = column.role else { continue };
            let stored =
                shapes.get(dataset.table_of(owner)).and_then(|shape| shape.column(&column.name));
            if let Some(stored) = stored {
                column.adopt(stored, dataset);
            }
        }
    }

    /// The name, or the first one with a suffix that no other column of the file or of its table
    /// has, and that no database keeps for itself.
    fn free_name<'s>(
        &mut self,
        own_name: &str,
        shape_for: impl Fn(&str) -> Option<&'s TableShape>,
        is_anothers: impl Fn(&str) -> bool,
    ) -> String {
        let mut name = shortened(own_name, "");
        let mut suffix = 2;
        loop {
            let shape = shape_for(&name);
            let is_stored = shape.is_some_and(|shape| shape.column(&name).is_some());
            // A table of an older release may have such a column.
            let is_kept = !is_stored && KEPT_BY_DATABASES.contains(&name.as_str());
            if !is_kept
                && !is_anothers(&name)
                && !shape.is_some_and(|shape| has_same_to_database(shape, &name))
            {
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

/// The key of the table that an owner's columns of a dataset go to.
pub fn key_of(dataset: &Dataset, owner: Owner) -> Vec<String> {
    let of_record = dataset.key.names().iter().map(String::as_str);
    let line_no = (owner == Owner::Line && dataset.lines.is_some()).then_some("line_no");
    ["market"].into_iter().chain(of_record).chain(line_no).map(str::to_owned).collect()
}

/// The tables that a dataset writes to and nobody made so far.
pub fn lacking_tables(dataset: &Dataset, shapes: &Shapes) -> Vec<TableShape> {
    let mut lacking = Vec::new();
    for owner in [Owner::Record, Owner::Line] {
        let table = dataset.table_of(owner);
        if shapes.contains_key(table)
            || lacking.iter().any(|shape: &TableShape| shape.name == table)
        {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::dataset::DatasetSettings;
    use crate::values::cell::NullTokens;
    use std::sync::Arc;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let mut layout = Layout::empty();
        let long = "é".repeat(60);
        let mut free_name = || layout.free_name(&long, |_| None, |_| false);
        let (first, second) = (free_name(), free_name());
        assert!(first.len() <= NAME_BYTES_MAX && second.len() <= NAME_BYTES_MAX);
        assert!(second.ends_with("_2") && first != second);
    }

    #[test]
    fn names_that_a_database_keeps_or_takes_for_another_get_a_suffix() {
        let mut shape = TableShape::found("stock", vec!["market".to_owned()]);
        shape.columns.push(ColumnShape::found("größe".to_owned(), Kind::Text));
        let mut layout = Layout::empty();
        let mut free_name = |name: &str| layout.free_name(name, |_| Some(&shape), |_| false);
        assert_eq!(
            ["xmin", "xmin_2", "rowid"].map(&mut free_name),
            ["xmin_2", "xmin_2_2", "rowid_2"]
        );
        assert_eq!(["café", "cafe", "cafè"].map(&mut free_name), ["café", "cafe_2", "cafè_3"]);
        assert_eq!(
            ["grosse", "größe", "grose"].map(&mut free_name),
            ["grosse", "größe", "grose_2"]
        );
        assert_eq!(
            ["かき", "がき", "край", "краи"].map(&mut free_name),
            ["かき", "がき", "край", "краи"]
        );
    }

    #[test]
    fn what_the_tables_lack_is_added_and_what_they_cannot_hold_is_widened() {
        let settings =
            DatasetSettings { key: vec!["sku".to_owned()], ..DatasetSettings::default() };
        let null_tokens = Arc::new(NullTokens::new([]));
        let dataset = Dataset::new("stock", &settings, &null_tokens).expect("valid settings");
        let mut shape = TableShape::found("stock", vec!["market".to_owned(), "sku".to_owned()]);
        for (name, kind) in [("held", Kind::Decimal), ("narrow", Kind::Integer)] {
            shape.columns.push(ColumnShape::found(name.to_owned(), kind));
        }
        let shapes = Shapes::from([("stock".to_owned(), shape)]);
        let header = ["SKU", "held", "narrow", "added"].map(str::to_owned);
        let mut layout = Layout::of_header(&header, &dataset, &shapes);
        for column in &mut layout.columns[1..] {
            column.kind = Some(if column.name == "held" { Kind::Integer } else { Kind::Decimal });
        }
        let changes = layout.reconcile(&dataset, &shapes).into_iter();
        let changes: Vec<(String, Kind, Option<Kind>)> = changes
            .map(|change| (change.column.name, change.column.kind, change.widened_from))
            .collect();
        let expected = [("narrow", Some(Kind::Integer)), ("added", None)]
            .map(|(name, from)| (name.to_owned(), Kind::Decimal, from));
        assert_eq!(changes, expected);
    }
}
