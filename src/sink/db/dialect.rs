//! Dialect: everything in which the three databases differ, in one place.

use crate::values::moment::format_moment;
use crate::values::number::DECIMAL_SCALE;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
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

    /// SeaORM's name of it.
    pub const fn backend(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Mysql => DbBackend::MySql,
            Self::Postgres => DbBackend::Postgres,
        }
    }

    /// The name that marts and views ask for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Mysql => "mysql",
            Self::Postgres => "postgres",
        }
    }

    /// Whether a transaction may change tables, and undo it.
    pub const fn rolls_back_ddl(self) -> bool {
        !matches!(self, Self::Mysql)
    }

    /// An identifier, quoted so that nothing in it is SQL.
    pub fn quote(self, name: &str) -> String {
        match self {
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// Most bound values of one statement.
    pub const fn binds_max(self) -> usize {
        match self {
            Self::Sqlite => 32_766,
            Self::Mysql | Self::Postgres => 65_535,
        }
    }

    /// Rows of one statement beyond which longer ones gain nothing; SQLite compiles each row of one anew.
    pub const fn rows_per_statement(self) -> usize {
        match self {
            Self::Sqlite => 64,
            Self::Mysql | Self::Postgres => 512,
        }
    }

    /// A placeholder for the bound value with that index, from 1.
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

    /// One cell of an arrow column as a bound value, NULLs typed because PostgreSQL asks for it.
    pub fn value(self, values: &ArrayRef, row: usize) -> Value {
        let is_valid = values.is_valid(row);
        match values.data_type() {
            DataType::Utf8 => Value::String(is_valid.then(|| values.as_string::<i32>().value(row).to_owned())),
            DataType::Int64 => Value::BigInt(is_valid.then(|| values.as_primitive::<Int64Type>().value(row))),
            DataType::Float64 => Value::Double(is_valid.then(|| values.as_primitive::<Float64Type>().value(row))),
            DataType::Decimal128(..) => {
                self.decimal(is_valid.then(|| values.as_primitive::<Decimal128Type>().value(row)))
            }
            DataType::Date32 => {
                let day = is_valid
                    .then(|| Date32Type::to_naive_date_opt(values.as_primitive::<Date32Type>().value(row)))
                    .flatten();
                match self {
                    Self::Sqlite => Value::String(day.map(|day| day.to_string())),
                    _ => Value::ChronoDate(day),
                }
            }
            DataType::FixedSizeBinary(_) => {
                Value::Bytes(is_valid.then(|| values.as_fixed_size_binary().value(row).to_vec()))
            }
            _ => self.time(is_valid.then(|| values.as_primitive::<TimestampMillisecondType>().value(row))),
        }
    }

    /// Ten-thousandths as a bound value: SQLite has no decimals, and 15 digits survive as a real.
    fn decimal(self, ten_thousandths: Option<i128>) -> Value {
        let decimal = ten_thousandths.map(|units| Decimal::from_i128_with_scale(units, DECIMAL_SCALE));
        match self {
            // Through the decimal text, so that the nearest real is taken rather than a quotient of reals.
            Self::Sqlite => {
                Value::Double(decimal.map(|decimal| decimal.to_string().parse().expect("a decimal's text is a number")))
            }
            _ => Value::Decimal(decimal),
        }
    }

    /// The columns of a table or view, in order, as one text column.
    pub const fn columns_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM pragma_table_info(?) ORDER BY cid",
            Self::Mysql => {
                "SELECT CAST(column_name AS CHAR) AS name FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
            }
            // Not the information schema, which leaves out what this user has no right to.
            Self::Postgres => {
                "SELECT a.attname::text AS name FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1 \
                 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            }
        }
    }

    /// As [`Dialect::columns_query`], with the type of each column where the database ties views to it, in order.
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

    /// The statement that compiles a view without reading anything. SQLite and PostgreSQL would compute subqueries for a
    /// `LIMIT 0`; MySQL does not, and asks for more rights to explain.
    pub fn compile(self, view: &str) -> String {
        let name = self.quote(view);
        match self {
            Self::Sqlite | Self::Postgres => format!("EXPLAIN SELECT * FROM {name}"),
            Self::Mysql => format!("SELECT * FROM {name} LIMIT 0"),
        }
    }

    /// What has a name already, whatever it is: on PostgreSQL and SQLite indexes and more share the names of tables.
    pub const fn taken_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT type || ' ' || name FROM sqlite_master WHERE name = ? COLLATE NOCASE",
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

    /// Name, type and place in the primary key of a table's columns, in order; 0 is no place.
    pub const fn catalog_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name, lower(type), pk FROM pragma_table_info(?) ORDER BY cid",
            // MariaDB says how wide an integer is shown, MySQL does not.
            Self::Mysql => {
                "SELECT CAST(c.column_name AS CHAR), CAST(IF(c.data_type = 'bigint', 'bigint', c.column_type) AS CHAR), \
                 CAST(COALESCE(k.ordinal_position, 0) AS SIGNED) \
                 FROM information_schema.columns c LEFT JOIN information_schema.key_column_usage k \
                 ON k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name \
                 AND k.constraint_name = 'PRIMARY' \
                 WHERE c.table_schema = DATABASE() AND c.table_name = ? ORDER BY c.ordinal_position"
            }
            // The columns of an index are counted from 0.
            Self::Postgres => {
                "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
                 COALESCE(array_position(i.indkey::int2[], a.attnum) + 1, 0)::bigint \
                 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                 LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary \
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1 ORDER BY a.attnum"
            }
        }
    }

    /// How that query names the type of a kind.
    pub const fn catalog_type(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Postgres, Kind::Identifier) => "character varying(191)",
            (Self::Postgres, Kind::Text) => "text",
            (Self::Postgres, Kind::Time) => "timestamp with time zone",
            _ => self.sql_type(kind),
        }
    }

    /// The statement that lets the planner know how full the tables have become, where it does not find
    /// out by itself in time: PostgreSQL's own worker comes a minute after a first load, and until then
    /// joins run in nested loops.
    pub fn gather_statistics(self, tables: &[&String]) -> Option<String> {
        let names: Vec<String> = tables.iter().map(|table| self.quote(table)).collect();
        (self == Self::Postgres).then(|| format!("ANALYZE {}", names.join(", ")))
    }

    /// The UTC day of a moment, as the type that a day column holds.
    pub fn day(self, moment: &str) -> String {
        match self {
            Self::Sqlite => format!("substr({moment}, 1, 10)"),
            Self::Mysql => format!("CAST({moment} AS DATE)"),
            Self::Postgres => format!("({moment} AT TIME ZONE 'UTC')::date"),
        }
    }

    /// A value as a column of that kind would hold it.
    pub fn as_stored(self, expression: &str, kind: Kind) -> String {
        let sql_type = match (self, kind) {
            (_, Kind::Identifier | Kind::Text | Kind::Hash) | (Self::Sqlite, Kind::Time | Kind::Day) => {
                return expression.to_owned();
            }
            // MySQL casts to fewer types than it stores.
            (Self::Mysql, Kind::Integer) => "signed",
            _ => self.sql_type(kind),
        };
        format!("CAST({expression} AS {sql_type})")
    }

    /// How a kind is written in DDL.
    pub const fn sql_type(self, kind: Kind) -> &'static str {
        migration::ddl::sql_type(kind, self.backend())
    }
}
