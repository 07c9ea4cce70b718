//! Dialect: the SQL differences between the three databases, in one place.

use crate::values::moment::format_moment;
use crate::values::number::DECIMAL_SCALE;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use chrono::{DateTime, Utc};
use entity::Kind;
use rust_decimal::Decimal;
use sea_orm::{DbBackend, Value};

/// Which of the three databases it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Embedded SQLite.
    Sqlite,
    /// MySQL 8 or MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// The dialect of a connection.
    pub fn of(backend: DbBackend) -> Self {
        match backend {
            DbBackend::MySql => Self::Mysql,
            DbBackend::Postgres => Self::Postgres,
            _ => Self::Sqlite,
        }
    }

    /// SeaORM's name for it.
    pub const fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Mysql => DbBackend::MySql,
            Self::Postgres => DbBackend::Postgres,
        }
    }

    /// The name that templates of marts and views test for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Mysql => "mysql",
            Self::Postgres => "postgres",
        }
    }

    /// Whether a transaction can change tables and roll that back.
    pub const fn rolls_back_ddl(self) -> bool {
        !matches!(self, Self::Mysql)
    }

    /// Quotes an identifier, so that nothing in it is read as SQL.
    pub fn quote(self, name: &str) -> String {
        match self {
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// Maximum number of bound values in one statement.
    pub const fn binds_max(self) -> usize {
        match self {
            Self::Sqlite => 32_766,
            Self::Mysql | Self::Postgres => 65_535,
        }
    }

    /// Maximum rows of one statement: longer statements are no faster, and SQLite compiles every
    /// row of a statement.
    pub const fn rows_per_statement(self) -> usize {
        match self {
            Self::Sqlite => 64,
            Self::Mysql | Self::Postgres => 512,
        }
    }

    /// The placeholder of the bound value with this index, from 1.
    pub fn placeholder(self, index: usize) -> String {
        match self {
            Self::Postgres => format!("${index}"),
            _ => "?".to_owned(),
        }
    }

    /// A moment as a bound value.
    pub fn time(self, millis: Option<i64>) -> Value {
        let moment = |millis| {
            DateTime::<Utc>::from_timestamp_millis(millis)
                .expect("moments come from parse_moment or the clock, both in chrono's range")
        };
        match self {
            Self::Sqlite => Value::String(millis.map(format_moment)),
            Self::Mysql => Value::ChronoDateTime(millis.map(|millis| moment(millis).naive_utc())),
            Self::Postgres => Value::ChronoDateTimeUtc(millis.map(moment)),
        }
    }

    /// One cell of an arrow column as a bound value. NULLs are typed, because PostgreSQL needs the
    /// type.
    pub fn value(self, values: &ArrayRef, row: usize) -> Value {
        let is_valid = values.is_valid(row);
        match values.data_type() {
            DataType::Utf8 => {
                Value::String(is_valid.then(|| values.as_string::<i32>().value(row).to_owned()))
            }
            DataType::Int64 => {
                Value::BigInt(is_valid.then(|| values.as_primitive::<Int64Type>().value(row)))
            }
            DataType::Float64 => {
                Value::Double(is_valid.then(|| values.as_primitive::<Float64Type>().value(row)))
            }
            DataType::Decimal128(..) => {
                self.decimal(is_valid.then(|| values.as_primitive::<Decimal128Type>().value(row)))
            }
            DataType::Date32 => {
                let day = is_valid
                    .then(|| {
                        Date32Type::to_naive_date_opt(
                            values.as_primitive::<Date32Type>().value(row),
                        )
                    })
                    .flatten();
                match self {
                    Self::Sqlite => Value::String(day.map(|day| day.to_string())),
                    _ => Value::ChronoDate(day),
                }
            }
            DataType::FixedSizeBinary(_) => {
                Value::Bytes(is_valid.then(|| values.as_fixed_size_binary().value(row).to_vec()))
            }
            _ => self.time(
                is_valid.then(|| values.as_primitive::<TimestampMillisecondType>().value(row)),
            ),
        }
    }

    /// A number of ten-thousandths as a bound value. SQLite has no decimals; a real keeps 15 digits
    /// exactly.
    fn decimal(self, ten_thousandths: Option<i128>) -> Value {
        let decimal =
            ten_thousandths.map(|units| Decimal::from_i128_with_scale(units, DECIMAL_SCALE));
        match self {
            // Parse the decimal text to get the nearest real; a division of reals could miss it.
            Self::Sqlite => {
                Value::Double(decimal.map(|decimal| {
                    decimal.to_string().parse().expect("a decimal's text is a number")
                }))
            }
            _ => Value::Decimal(decimal),
        }
    }

    /// Query for the columns of a table or view, in order, as one text column.
    pub const fn columns_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM pragma_table_info(?) ORDER BY cid",
            Self::Mysql => {
                "SELECT CAST(column_name AS CHAR) AS name FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
            }
            // The information schema would omit objects that this user has no rights to.
            Self::Postgres => {
                "SELECT a.attname::text AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1 \
                 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            }
        }
    }

    /// Like [`Dialect::columns_query`], with the type of each column on databases where views
    /// depend on it.
    pub const fn typed_columns_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name, '' FROM pragma_table_info(?) ORDER BY cid",
            Self::Mysql => {
                "SELECT CAST(column_name AS CHAR), '' FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
            }
            Self::Postgres => {
                "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) || ' ' || a.attcollation \
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1 \
                 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            }
        }
    }

    /// The statement that compiles a view without reading rows. SQLite and PostgreSQL use EXPLAIN,
    /// because they compute subqueries even for `LIMIT 0`. MySQL does not, and needs more rights
    /// for EXPLAIN.
    pub fn compile(self, view: &str) -> String {
        let name = self.quote(view);
        match self {
            Self::Sqlite | Self::Postgres => format!("EXPLAIN SELECT * FROM {name}"),
            Self::Mysql => format!("SELECT * FROM {name} LIMIT 0"),
        }
    }

    /// Query for all names in use: on PostgreSQL and SQLite, indexes and other objects share one
    /// namespace with tables.
    pub const fn taken_query(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT type || ' ' || name FROM sqlite_master WHERE name = ? COLLATE NOCASE"
            }
            Self::Mysql => {
                "SELECT CAST(CONCAT(LOWER(table_type), ' ', table_name) AS CHAR) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = ?"
            }
            Self::Postgres => {
                "SELECT pg_describe_object('pg_class'::regclass, oid, 0) FROM pg_class \
                 WHERE relnamespace = current_schema()::regnamespace AND relname = $1 \
                 UNION ALL SELECT pg_describe_object('pg_type'::regclass, oid, 0) FROM pg_type \
                 WHERE typnamespace = current_schema()::regnamespace AND typname = $1 LIMIT 1"
            }
        }
    }

    /// Query for the name, type and primary-key position of a table's columns, in order; position 0
    /// means not in the key.
    pub const fn catalog_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name, lower(type), pk FROM pragma_table_info(?) ORDER BY cid",
            // MariaDB adds a display width to integer types, MySQL does not.
            Self::Mysql => {
                "SELECT CAST(c.column_name AS CHAR), CAST(IF(c.data_type = 'bigint', 'bigint', c.column_type) AS CHAR), \
                 CAST(COALESCE(k.ordinal_position, 0) AS SIGNED) \
                 FROM information_schema.columns c LEFT JOIN information_schema.key_column_usage k \
                 ON k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name \
                 AND k.constraint_name = 'PRIMARY' \
                 WHERE c.table_schema = DATABASE() AND c.table_name = ? ORDER BY c.ordinal_position"
            }
            // Index columns are counted from 0.
            Self::Postgres => {
                "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
                 COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint \
                 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary \
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1 ORDER BY a.attnum"
            }
        }
    }

    /// The type of a kind, as that query returns it.
    pub const fn catalog_type(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Postgres, Kind::Identifier) => "character varying(191)",
            (Self::Postgres, Kind::Text) => "text",
            (Self::Postgres, Kind::Time) => "timestamp with time zone",
            _ => self.sql_type(kind),
        }
    }

    /// The statement that updates the planner's statistics, on databases that do not do it in time.
    /// PostgreSQL's autovacuum comes a minute after a first load; until then joins run as nested
    /// loops.
    pub fn gather_statistics(self, tables: &[&String]) -> Option<String> {
        let names: Vec<String> = tables.iter().map(|table| self.quote(table)).collect();
        (self == Self::Postgres).then(|| format!("ANALYZE {}", names.join(", ")))
    }

    /// SQL for the UTC day of a moment, in the type of a day column.
    pub fn day(self, moment: &str) -> String {
        match self {
            Self::Sqlite => format!("substr({moment}, 1, 10)"),
            Self::Mysql => format!("CAST({moment} AS DATE)"),
            Self::Postgres => format!("({moment} AT TIME ZONE 'UTC')::date"),
        }
    }

    /// SQL that casts a value to the type of this kind.
    pub fn as_stored(self, expression: &str, kind: Kind) -> String {
        let sql_type = match (self, kind) {
            (_, Kind::Identifier | Kind::Text | Kind::Hash)
            | (Self::Sqlite, Kind::Time | Kind::Day) => {
                return expression.to_owned();
            }
            // MySQL casts to fewer types than it stores.
            (Self::Mysql, Kind::Integer) => "signed",
            _ => self.sql_type(kind),
        };
        format!("CAST({expression} AS {sql_type})")
    }

    /// The type that a value is cast to for its text.
    pub const fn text_type(self) -> &'static str {
        match self {
            Self::Mysql => "CHAR",
            Self::Sqlite | Self::Postgres => "TEXT",
        }
    }

    /// The DDL type of a kind.
    pub const fn sql_type(self, kind: Kind) -> &'static str {
        migration::ddl::sql_type(kind, self.backend())
    }
}
