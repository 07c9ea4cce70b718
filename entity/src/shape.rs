//! A table's shape as plain data: its columns, their kinds and its key.
//!
//! Declared tables get their shape from an entity; tables and columns found in files get it from
//! the ledger. Statements, DDL and cleaning all read this one form.

use sea_orm::{
    ColumnTrait, EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn, PrimaryKeyTrait,
    sea_query::ColumnType,
};

/// The kind of values in a column. The ledger stores it as [`Kind::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text of at most [`IDENTIFIER_CHARS_MAX`] characters; may be part of a key.
    Identifier,
    /// Text of any length.
    Text,
    /// 64-bit integer.
    Integer,
    /// Decimal with 19 digits, 4 of them after the point.
    Decimal,
    /// Decimal with 28 digits, 4 of them after the point: wide enough for sums of decimals.
    Total,
    /// 64-bit binary floating point, for measures.
    Double,
    /// A moment in UTC, to the millisecond.
    Time,
    /// A calendar day.
    Day,
    /// 32 bytes.
    Hash,
}

/// Longest identifier, in characters: four of them and a number fit InnoDB's index limit of 3072
/// bytes in utf8mb4.
pub const IDENTIFIER_CHARS_MAX: usize = 191;

impl Kind {
    /// Kinds that can be widened.
    pub const WIDENABLE: [Self; 5] =
        [Self::Integer, Self::Decimal, Self::Double, Self::Day, Self::Time];

    /// The narrowest kind for values of both kinds.
    #[must_use]
    pub const fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Integer, Self::Integer) => Self::Integer,
            (Self::Double, Self::Integer | Self::Decimal | Self::Double) => Self::Double,
            (Self::Day, Self::Day) => Self::Day,
            (Self::Integer | Self::Decimal, Self::Integer | Self::Decimal) => Self::Decimal,
            (Self::Day | Self::Time, Self::Day | Self::Time) => Self::Time,
            (Self::Identifier, _) => Self::Identifier,
            (Self::Total, _) => Self::Total,
            (Self::Hash, _) => Self::Hash,
            _ => Self::Text,
        }
    }

    /// The kind's name in the ledger and in mart headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Text => "text",
            Self::Integer => "bigint",
            Self::Decimal => "decimal",
            Self::Total => "total",
            Self::Double => "double",
            Self::Time => "timestamp",
            Self::Day => "date",
            Self::Hash => "hash",
        }
    }

    /// The kind with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [Kind; 9] = [
            Kind::Identifier,
            Kind::Text,
            Kind::Integer,
            Kind::Decimal,
            Kind::Total,
            Kind::Double,
            Kind::Time,
            Kind::Day,
            Kind::Hash,
        ];
        ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnShape {
    /// Name in the database.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether an entity declares it; other columns were found in files.
    pub is_declared: bool,
    /// Whether it is never widened, because it is part of a key, or a mart or view reads it.
    pub is_pinned: bool,
    /// Whether it has had no value yet; its first values will decide its kind.
    pub is_empty: bool,
    /// Whether it was widened before.
    pub is_widened: bool,
}

impl ColumnShape {
    /// A column that was found in a file.
    pub const fn found(name: String, kind: Kind) -> Self {
        Self {
            name,
            kind,
            nullable: true,
            is_declared: false,
            is_pinned: false,
            is_empty: false,
            is_widened: false,
        }
    }

    /// A column that was found in a file without any value.
    pub const fn found_empty(name: String) -> Self {
        Self {
            name,
            kind: Kind::Text,
            nullable: true,
            is_declared: false,
            is_pinned: false,
            is_empty: true,
            is_widened: false,
        }
    }

    /// A declared column.
    pub const fn declared(name: String, kind: Kind, nullable: bool) -> Self {
        Self {
            name,
            kind,
            nullable,
            is_declared: true,
            is_pinned: false,
            is_empty: false,
            is_widened: false,
        }
    }

    /// Gives it a wider kind.
    pub fn widen(&mut self, kind: Kind) {
        self.is_empty = false;
        self.kind = kind;
        self.is_widened = true;
    }
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Name in the database.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<ColumnShape>,
    /// Names of the key's columns, in order.
    pub key: Vec<String>,
    /// Whether the database numbers the (single) key column itself.
    pub auto_increment: bool,
}

/// The column with a row's SHA-256; it is the key if no other column is.
pub const ROW_HASH: &str = "_row_hash";

/// The column that counts a record's lines.
const LINE_NO: &str = "line_no";

impl TableShape {
    /// A table without an entity, with this key and the columns that every table has.
    pub fn found(name: &str, key: Vec<String>) -> Self {
        let kind = |name: &str| if name == LINE_NO { Kind::Integer } else { Kind::Identifier };
        let own = [
            (ROW_HASH, Kind::Hash, false),
            ("_file_id", Kind::Integer, false),
            ("_rescued", Kind::Text, true),
        ];
        let columns = key
            .iter()
            .filter(|name| *name != ROW_HASH)
            .map(|name| (name.as_str(), kind(name), false))
            .chain(own)
            .map(|(name, kind, nullable)| ColumnShape {
                nullable,
                ..ColumnShape::found(name.to_owned(), kind)
            })
            .collect();
        Self { name: name.to_owned(), columns, key, auto_increment: false }
    }

    /// The shape that an entity declares.
    ///
    /// # Panics
    ///
    /// When the entity has a column type without a [`Kind`], which is a mistake in `entity/`.
    pub fn of<E: EntityTrait>() -> Self {
        let columns = E::Column::iter()
            .map(|column| {
                let definition = column.def();
                let kind = kind_of(definition.get_column_type());
                ColumnShape::declared(column.as_str().to_owned(), kind, definition.is_null())
            })
            .collect();
        let key = E::PrimaryKey::iter().map(|key| key.into_column().as_str().to_owned()).collect();
        Self {
            name: E::default().table_name().to_owned(),
            columns,
            key,
            auto_increment: E::PrimaryKey::auto_increment(),
        }
    }

    /// The column with this name.
    pub fn column(&self, name: &str) -> Option<&ColumnShape> {
        self.columns.iter().find(|column| column.name == name)
    }
}

fn kind_of(column_type: &ColumnType) -> Kind {
    match column_type {
        ColumnType::String(_) => Kind::Identifier,
        ColumnType::Text => Kind::Text,
        ColumnType::BigInteger => Kind::Integer,
        ColumnType::Decimal(None) => Kind::Decimal,
        ColumnType::Decimal(Some((28, 4))) => Kind::Total,
        ColumnType::Double => Kind::Double,
        ColumnType::TimestampWithTimeZone => Kind::Time,
        ColumnType::Date => Kind::Day,
        ColumnType::VarBinary(_) | ColumnType::Binary(_) | ColumnType::Blob => Kind::Hash,
        other => panic!("entity column type {other:?} is not one that tidegate stores"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_declare_keys_and_kinds() {
        let shape = TableShape::of::<crate::order_items::Entity>();
        assert_eq!(shape.key, ["market", "order_id", "line_no"]);
        let kind = |name: &str| shape.column(name).map(|column| (column.kind, column.nullable));
        assert_eq!(kind("quantity"), Some((Kind::Decimal, true)));
        assert_eq!(kind("_row_hash"), Some((Kind::Hash, false)));
        assert_eq!(kind("category_name"), Some((Kind::Text, true)));
        assert!(!shape.auto_increment);
        assert!(TableShape::of::<crate::files::Entity>().auto_increment);
    }

    #[test]
    fn every_declared_table_has_a_shape() {
        let tables = [crate::market_tables(), crate::ledger_tables()].concat();
        assert_eq!(tables.len(), 16);
        for kind in tables.iter().flat_map(|table| &table.columns).map(|column| column.kind) {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
    }
}
