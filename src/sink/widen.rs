//! Widen: changes a column to a wider kind in place. Values become their canonical text or number,
//! so no row hash changes (`canonical`).
//!
//! SQLite and PostgreSQL do this in the transaction that changes the ledger. MySQL commits each
//! change of a table separately: the ledger is changed first, the values are copied into a second
//! column, and one statement replaces the first column. After a crash before that statement, the
//! column's type differs from the ledger's; the next start notices it and widens again.

use crate::error::SyncError;
use crate::feed::layout::{SchemaChange, Shapes};
use crate::sink::Sink;
use crate::sink::db::connect::CONNECTIONS_MAX;
use crate::sink::db::dialect::Dialect;
use crate::sink::evolve::about;
use crate::sink::ledger::obstacles::Obstacle;
use crate::sink::ledger::recorded::Blocked;
use crate::sink::marts::views::Dropped;
use crate::sink::tables::Tables;
use crate::values::canonical::push_double;
use entity::{ColumnShape, Kind};
use sea_orm::sqlx::Connection;
use sea_orm::{ConnectionTrait, DbErr, RuntimeErr, Statement, Value};
use std::sync::Arc;

/// The column that values are copied into, on databases that cannot convert in place. No column
/// from a file begins with `_`.
const COPY: &str = "_widened";

/// Temporary table with the texts of measures while their column becomes text.
const TEXTS: &str = "tidegate_texts";

/// Measures that one statement turns into text.
const TEXTS_PER_STATEMENT: usize = 500;

/// Whole numbers from here have more digits than a decimal column keeps.
const DECIMAL_WHOLE_LIMIT: &str = "1000000000000000";

/// One column to widen.
struct Widening<'a> {
    table: &'a str,
    column: &'a str,
    from: Kind,
    to: Kind,
}

impl Tables {
    /// The column becomes text if numbers are too long for a decimal.
    pub(crate) async fn widen_far_enough(
        &self,
        changes: &mut [SchemaChange],
    ) -> Result<(), SyncError> {
        for change in changes {
            if change.widened_from != Some(Kind::Integer) || change.column.kind != Kind::Decimal {
                continue;
            }
            let (table, column) =
                (self.db.dialect.quote(&change.table), self.db.dialect.quote(&change.column.name));
            let query = format!(
                "SELECT 1 FROM {table} WHERE {column} >= {DECIMAL_WHOLE_LIMIT} OR {column} <= -{DECIMAL_WHOLE_LIMIT} LIMIT 1"
            );
            let found = self
                .db
                .connection
                .query_one_raw(Statement::from_string(self.db.dialect.backend(), query))
                .await?;
            if found.is_some() {
                change.column.widen(Kind::Text);
            }
        }
        Ok(())
    }

    /// Makes every connection drop its prepared statements: PostgreSQL would keep using the old
    /// column types for their values and results.
    pub(crate) async fn forget_statements(&self) -> Result<(), SyncError> {
        let pool_error =
            |error| SyncError::from(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))));
        // No other writer runs, and reads are short.
        let _writing = self.db.writing.lock().await;
        match self.db.dialect {
            Dialect::Postgres => {
                let pool = self.db.connection.get_postgres_connection_pool();
                let mut connections = Vec::new();
                for _ in 0..CONNECTIONS_MAX {
                    let mut connection = pool.acquire().await.map_err(pool_error)?;
                    connection.clear_cached_statements().await.map_err(pool_error)?;
                    connections.push(connection);
                }
            }
            // These databases recompile statements when a table changes.
            Dialect::Sqlite | Dialect::Mysql => {}
        }
        Ok(())
    }

    async fn widen(
        &self,
        connection: &impl ConnectionTrait,
        widening: &Widening<'_>,
    ) -> Result<(), SyncError> {
        if widening.from == Kind::Text {
            if widening.to == Kind::Text {
                return Ok(());
            }
            self.check_without_values(connection, widening).await?;
        }
        let (table, column) =
            (self.db.dialect.quote(widening.table), self.db.dialect.quote(widening.column));
        let sql_type = self.db.dialect.sql_type(widening.to);
        let converted = converted(self.db.dialect, widening.from, widening.to, &column);
        if self.db.dialect == Dialect::Postgres {
            // Write measures with all digits, whatever the server's setting.
            connection.execute_unprepared("SET LOCAL extra_float_digits = 1").await?;
            let using =
                converted.unwrap_or_else(|| format!("trim_scale({column}::text::numeric)::text"));
            let alter =
                format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {sql_type} USING {using}");
            connection.execute_unprepared(&alter).await?;
            fail::fail_point!("during_widening", |_| std::process::abort());
            return Ok(());
        }
        let copy = self.db.dialect.quote(COPY);
        connection
            .execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN {copy} {sql_type}"))
            .await?;
        match converted {
            Some(converted) => {
                let update =
                    format!("UPDATE {table} SET {copy} = {converted} WHERE {column} IS NOT NULL");
                connection.execute_unprepared(&update).await?;
            }
            None => self.copy_texts(connection, widening).await?,
        }
        fail::fail_point!("during_widening", |_| std::process::abort());
        let replace = match self.db.dialect {
            Dialect::Mysql => {
                let comment = self.comment_on(connection, widening).await?;
                vec![format!(
                    "ALTER TABLE {table} DROP COLUMN {column}, CHANGE COLUMN {copy} {column} {sql_type}{comment}"
                )]
            }
            _ => vec![
                format!("ALTER TABLE {table} DROP COLUMN {column}"),
                format!("ALTER TABLE {table} RENAME COLUMN {copy} TO {column}"),
            ],
        };
        for statement in replace {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    /// Only a column without values changes from text to another kind.
    async fn check_without_values(
        &self,
        connection: &impl ConnectionTrait,
        widening: &Widening<'_>,
    ) -> Result<(), SyncError> {
        let (table, column) =
            (self.db.dialect.quote(widening.table), self.db.dialect.quote(widening.column));
        let query = format!("SELECT 1 FROM {table} WHERE {column} IS NOT NULL LIMIT 1");
        match connection
            .query_one_raw(Statement::from_string(self.db.dialect.backend(), query))
            .await?
        {
            None => Ok(()),
            Some(_) => {
                Err(SyncError::Refused { reason: "it has values, which are text".to_owned() })
            }
        }
    }

    /// Attributes that somebody set on a MySQL column, as in its definition.
    async fn comment_on(
        &self,
        connection: &impl ConnectionTrait,
        widening: &Widening<'_>,
    ) -> Result<String, SyncError> {
        let query = Statement::from_sql_and_values(
            self.db.dialect.backend(),
            "SELECT CAST(CASE column_comment WHEN '' THEN '' ELSE CONCAT(' COMMENT ', QUOTE(column_comment)) END AS CHAR) \
             FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?",
            [widening.table.into(), widening.column.into()],
        );
        let row = connection.query_one_raw(query).await?;
        Ok(row.map_or(Ok(String::new()), |row| row.try_get_by_index(0))?)
    }

    /// Neither SQLite nor MySQL can write the shortest text that identifies a measure, so the texts
    /// are made here, one for each distinct measure.
    async fn copy_texts(
        &self,
        connection: &impl ConnectionTrait,
        widening: &Widening<'_>,
    ) -> Result<(), SyncError> {
        let (table, column) =
            (self.db.dialect.quote(widening.table), self.db.dialect.quote(widening.column));
        let copy = self.db.dialect.quote(COPY);
        let text_type = self.db.dialect.sql_type(Kind::Text);
        let measure_type = self.db.dialect.sql_type(Kind::Double);
        connection.execute_unprepared(&format!("DROP TABLE IF EXISTS {TEXTS}")).await?;
        // An ordinary table, because on MySQL a temporary one belongs to a single connection.
        let create = format!(
            "CREATE TABLE {TEXTS} (measure {measure_type} NOT NULL PRIMARY KEY, words {text_type})"
        );
        connection.execute_unprepared(&create).await?;
        let mut last = f64::NEG_INFINITY;
        loop {
            let page = format!(
                "SELECT DISTINCT {column} FROM {table} WHERE {column} > ? ORDER BY {column} LIMIT {TEXTS_PER_STATEMENT}"
            );
            // Begin below every stored measure, because these databases have no infinity.
            let bound = Value::Double(Some(last.max(f64::MIN)));
            let query = Statement::from_sql_and_values(self.db.dialect.backend(), page, [bound]);
            let rows = connection.query_all_raw(query).await?;
            let measures: Vec<f64> =
                rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
            let Some(&largest) = measures.last() else { break };
            last = largest;
            let places = vec!["(?, ?)"; measures.len()].join(", ");
            let binds = measures.iter().flat_map(|&measure| {
                let mut text = Vec::new();
                push_double(&mut text, measure);
                [Value::from(measure), Value::from(String::from_utf8_lossy(&text).into_owned())]
            });
            let insert = format!("INSERT INTO {TEXTS} (measure, words) VALUES {places}");
            self.db.execute_sql(connection, insert, binds.collect()).await?;
        }
        let update = format!(
            "UPDATE {table} SET {copy} = (SELECT words FROM {TEXTS} WHERE measure = {column}) WHERE {column} IS NOT NULL"
        );
        connection.execute_unprepared(&update).await?;
        connection.execute_unprepared(&format!("DROP TABLE {TEXTS}")).await?;
        Ok(())
    }

    async fn drop_column(&self, table: &str, column: &str) -> Result<(), SyncError> {
        if self.db.columns_of(table).await?.iter().any(|existing| existing == column) {
            let (table, column) = (self.db.dialect.quote(table), self.db.dialect.quote(column));
            self.db
                .connection
                .execute_unprepared(&format!("ALTER TABLE {table} DROP COLUMN {column}"))
                .await?;
        }
        Ok(())
    }

    /// The kinds of a table's columns by their database types; types without a kind are left out.
    async fn kinds_of(&self, table: &str) -> Result<Vec<(String, Kind)>, SyncError> {
        let query = Statement::from_sql_and_values(
            self.db.dialect.backend(),
            "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = ?",
            [table.into()],
        );
        let mut kinds = Vec::new();
        for row in self.db.connection.query_all_raw(query).await? {
            let data_type: String = row.try_get_by_index(1)?;
            let is_type = |kind: &Kind| {
                self.db.dialect.sql_type(*kind).split('(').next() == Some(data_type.as_str())
            };
            let kind = Kind::WIDENABLE.into_iter().chain([Kind::Text]).find(is_type);
            kinds.extend(
                kind.map(|kind| Ok::<_, SyncError>((row.try_get_by_index(0)?, kind)))
                    .transpose()?,
            );
        }
        Ok(kinds)
    }
}

impl Sink {
    /// Widens a column in the transaction of its ledger entry, or returns the obstacle. tidegate's
    /// own views are dropped and made again at the end; on SQLite objects of others are also set
    /// aside until then.
    pub(crate) async fn widen_in(
        &self,
        transaction: &impl ConnectionTrait,
        change: &SchemaChange,
        from: Kind,
        dropped: &mut Dropped,
    ) -> Result<Option<Obstacle>, SyncError> {
        let (table, column) = (change.table.as_str(), change.column.name.as_str());
        let widening = Widening { table, column, from, to: change.column.kind };
        let mut also_dropped = dropped.clone();
        let widened = self.db.attempt(transaction, async {
            self.marts.drop_views_on(transaction, table, Some(column), &mut also_dropped).await?;
            let aside = self.set_aside(transaction, table, column).await?;
            self.tables.widen(transaction, &widening).await?;
            for create in aside {
                transaction.execute_unprepared(&create).await?;
            }
            Ok(())
        });
        match widened.await? {
            Ok(()) => {
                *dropped = also_dropped;
                Ok(None)
            }
            Err(error) => Ok(Some(self.obstacle_to(transaction, &widening, &error).await?)),
        }
    }

    /// The obstacle, if a column must keep its kind.
    pub(crate) async fn obstacle_of(
        &self,
        connection: &impl ConnectionTrait,
        change: &SchemaChange,
        from: Kind,
        error: &SyncError,
    ) -> Result<Obstacle, SyncError> {
        let (table, column) = (change.table.as_str(), change.column.name.as_str());
        self.obstacle_to(
            connection,
            &Widening { table, column, from, to: change.column.kind },
            error,
        )
        .await
    }

    /// Why a column keeps its kind, and what happens to its values.
    async fn obstacle_to(
        &self,
        connection: &impl ConnectionTrait,
        widening: &Widening<'_>,
        error: &SyncError,
    ) -> Result<Obstacle, SyncError> {
        let Widening { table, column, from, .. } = widening;
        let objects = self.marts.objects_on(connection, table, Some(column)).await?;
        let consequence = format!(
            "the column stays {}, and values that it does not hold go to _rescued; the next file that needs it widens the \
             column once nothing is in the way",
            from.name()
        );
        Ok(Obstacle::new(about(table, column), &consequence, error, &objects))
    }

    /// Drops the views and triggers of a SQLite database that prevent dropping a column, and
    /// returns the statements that make them again. SQLite checks all views and triggers then,
    /// whatever they read.
    async fn set_aside(
        &self,
        transaction: &impl ConnectionTrait,
        table: &str,
        column: &str,
    ) -> Result<Vec<String>, SyncError> {
        const BUILT: &str = "SELECT m.type, m.name, m.sql FROM sqlite_master m WHERE m.sql IS NOT NULL AND (m.type IN ('view', 'trigger') \
             OR m.type = 'index' AND m.tbl_name = ? AND EXISTS (SELECT 1 FROM pragma_index_info(m.name) i WHERE i.name = ?)) \
             ORDER BY m.type = 'trigger' DESC, m.rowid";
        if self.db.dialect != Dialect::Sqlite {
            return Ok(Vec::new());
        }
        let query = Statement::from_sql_and_values(
            self.db.dialect.backend(),
            BUILT,
            [table.into(), column.into()],
        );
        let mut creates = Vec::new();
        for row in transaction.query_all_raw(query).await? {
            let (kind, name): (String, String) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            transaction
                .execute_unprepared(&format!("DROP {kind} {}", self.db.dialect.quote(&name)))
                .await?;
            creates.push(row.try_get_by_index(2)?);
        }
        // Triggers are dropped first, because they go with their table or view, and are made again
        // last.
        creates.reverse();
        Ok(creates)
    }

    /// Widens columns whose type differs from the ledger, and returns those that cannot be widened.
    pub(crate) async fn finish_widening(&self, shapes: &Shapes) -> Result<Vec<Blocked>, SyncError> {
        let mut blocked = Vec::new();
        if self.db.dialect.rolls_back_ddl() {
            return Ok(blocked);
        }
        for shape in shapes.values() {
            let widened: Vec<&ColumnShape> =
                shape.columns.iter().filter(|column| column.is_widened).collect();
            if widened.is_empty() {
                continue;
            }
            for (name, from) in self.tables.kinds_of(&shape.name).await? {
                let Some(column) =
                    widened.iter().find(|column| column.name == name && column.kind != from)
                else {
                    continue;
                };
                let widening =
                    Widening { table: &shape.name, column: &column.name, from, to: column.kind };
                let _writing = self.db.writing.lock().await;
                self.tables.drop_column(&shape.name, COPY).await?;
                let widened = self
                    .db
                    .attempt(&self.db.connection, self.tables.widen(&self.db.connection, &widening))
                    .await?;
                if let Err(error) = widened {
                    self.tables.drop_column(&shape.name, COPY).await?;
                    let obstacle = self.obstacle_to(&self.db.connection, &widening, &error).await?;
                    blocked.push((shape.name.clone(), column.name.clone(), from, obstacle));
                }
            }
        }
        Ok(blocked)
    }

    /// Objects on a column that MySQL would drop or break silently.
    pub(crate) async fn obstacle_on_mysql(
        &self,
        change: &SchemaChange,
        from: Kind,
    ) -> Result<Option<Obstacle>, SyncError> {
        let (table, column) = (change.table.as_str(), change.column.name.as_str());
        let objects = self.marts.objects_on(&self.db.connection, table, Some(column)).await?;
        if objects.is_empty() {
            return Ok(None);
        }
        let widening = Widening { table, column, from, to: change.column.kind };
        let lost = SyncError::Configuration(
            "it would be lost with the column that the wider one takes the place of".to_owned(),
        );
        Ok(Some(self.obstacle_to(&self.db.connection, &widening, &lost).await?))
    }
}

/// SQL for a column's value in the wider kind; `None` if SQL cannot express it.
fn converted(dialect: Dialect, from: Kind, to: Kind, column: &str) -> Option<String> {
    let text = match (from, to) {
        // The column has no values to convert.
        (Kind::Text, _) => "NULL".to_owned(),
        (Kind::Integer, Kind::Decimal) => match dialect {
            Dialect::Sqlite => format!("CAST({column} AS REAL)"),
            _ => column.to_owned(),
        },
        (Kind::Day, Kind::Time) => match dialect {
            Dialect::Sqlite => format!("{column} || 'T00:00:00.000Z'"),
            Dialect::Mysql => format!("CAST({column} AS DATETIME(3))"),
            Dialect::Postgres => format!("{column}::timestamp AT TIME ZONE 'UTC'"),
        },
        (Kind::Integer, _) => match dialect {
            Dialect::Mysql => format!("CAST({column} AS CHAR)"),
            _ => format!("CAST({column} AS TEXT)"),
        },
        (Kind::Decimal, _) => match dialect {
            // At most 15 digits, four of them after the point: a real keeps them exactly.
            Dialect::Sqlite => format!("rtrim(rtrim(printf('%.4f', {column}), '0'), '.')"),
            Dialect::Mysql => {
                format!("TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST({column} AS CHAR)))")
            }
            Dialect::Postgres => format!("trim_scale({column})::text"),
        },
        (Kind::Day, _) => match dialect {
            Dialect::Sqlite => column.to_owned(),
            Dialect::Mysql => format!("DATE_FORMAT({column}, '%Y-%m-%d')"),
            Dialect::Postgres => format!("to_char({column}, 'YYYY-MM-DD')"),
        },
        (Kind::Time, _) => match dialect {
            Dialect::Sqlite => format!(
                "CASE WHEN substr({column}, 11) = 'T00:00:00.000Z' THEN substr({column}, 1, 10) ELSE {column} END"
            ),
            Dialect::Mysql => format!(
                "CASE WHEN DATE_FORMAT({column}, '%H%i%s%f') = '000000000000' THEN DATE_FORMAT({column}, '%Y-%m-%d') \
                 ELSE CONCAT(DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s.'), LEFT(DATE_FORMAT({column}, '%f'), 3), 'Z') END"
            ),
            Dialect::Postgres => format!(
                "CASE WHEN to_char({column} AT TIME ZONE 'UTC', 'HH24MISSMS') = '000000000' \
                 THEN to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD') \
                 ELSE to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') END"
            ),
        },
        _ => return None,
    };
    Some(text)
}
