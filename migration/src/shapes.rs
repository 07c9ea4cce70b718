//! Shapes of steps: tables and columns as a step writes them out, once and for all.
//!
//! How a kind is stored is `ddl`'s, and as final as the steps: another way to store it is another
//! kind.

use entity::{ColumnShape, Kind, TableShape};

/// A column: its name, what it holds, and whether it may be [`NULL`].
pub type Column = (&'static str, Kind, bool);

/// The column may be NULL.
pub const NULL: bool = true;

/// The column may not be NULL.
pub const NOT_NULL: bool = false;

/// A table as a step creates it.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub key: &'static [&'static str],
    /// Whether the database numbers the one column of the key itself.
    pub is_numbered: bool,
    pub columns: &'static [Column],
}

impl Table {
    /// The form in which `ddl` takes it.
    pub fn shape(&self) -> TableShape {
        TableShape {
            name: self.name.to_owned(),
            columns: self.columns.iter().copied().map(column).collect(),
            key: self.key.iter().copied().map(str::to_owned).collect(),
            auto_increment: self.is_numbered,
        }
    }
}

/// The form in which `ddl` takes a column.
pub fn column((name, kind, nullable): Column) -> ColumnShape {
    ColumnShape::declared(name.to_owned(), kind, nullable)
}

/// A table of which nothing but the name matters, because a column outside of its key is added.
pub fn lone(name: &str) -> TableShape {
    TableShape {
        name: name.to_owned(),
        columns: Vec::new(),
        key: Vec::new(),
        auto_increment: false,
    }
}
