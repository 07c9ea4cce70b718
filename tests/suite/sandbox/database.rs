//! The database of a sandbox, looked into and held from outside.

use super::{Engine, Sandbox};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    QueryResult, Statement, TransactionTrait, TryGetable,
};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// Locks of a transaction, until they are dropped.
#[derive(Debug)]
pub struct Lock(Option<DatabaseTransaction>);

impl Drop for Lock {
    fn drop(&mut self) {
        let rolled_back =
            self.0.take().map(|transaction| runtime().block_on(transaction.rollback()));
        assert!(std::thread::panicking() || matches!(rolled_back, Some(Ok(()))), "it was open");
    }
}

impl Sandbox {
    /// Rows of a query, each as its cells joined by `|`, NULL as `-`, numbers without zeros at
    /// their end.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        self.try_rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// As [`Sandbox::rows`], for a table that may not be there or a database that may be away.
    pub fn try_rows(&self, sql: &str) -> Result<Vec<String>, sea_orm::DbErr> {
        runtime().block_on(async {
            let connection = self.connect().await?;
            let statement = Statement::from_string(connection.get_database_backend(), sql);
            let rows = connection.query_all_raw(statement).await?;
            let texts = rows.iter().map(row_text).collect();
            connection.close().await?;
            Ok(texts)
        })
    }

    /// Runs a statement.
    pub fn execute(&self, sql: &str) {
        runtime()
            .block_on(async {
                let connection = self.connect().await?;
                connection.execute_unprepared(sql).await?;
                connection.close().await
            })
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Keeps everybody else away from the SQLite file for a while.
    pub fn hold_exclusively(&self, pause: Duration) {
        let held = runtime().block_on(async {
            let mut options = ConnectOptions::new(self.url.as_str());
            options.max_connections(1);
            let connection = Database::connect(options).await?;
            connection.execute_unprepared("BEGIN EXCLUSIVE").await?;
            tokio::time::sleep(pause).await;
            connection.execute_unprepared("ROLLBACK").await?;
            connection.close().await
        });
        // Who writes just now has the file, and the pause with it: that is as good.
        if let Err(error) = held {
            eprintln!("{}: {error}", self.url);
        }
    }

    /// Ends what [`Sandbox::hold_a_snapshot`] began.
    pub fn release(&self, snapshot: DatabaseTransaction) {
        runtime().block_on(snapshot.rollback()).expect("the connection lives");
    }

    /// Begins to read on a connection of its own, which sees the database as it is now until it is
    /// released.
    pub fn hold_a_snapshot(&self) -> DatabaseTransaction {
        runtime()
            .block_on(async {
                let reading = self.connect().await?.begin().await?;
                reading.execute_unprepared("SELECT COUNT(*) FROM tidegate_files").await?;
                Ok::<_, sea_orm::DbErr>(reading)
            })
            .expect("the database can be read")
    }

    /// Runs a statement in a transaction that keeps its locks until it is dropped.
    pub fn lock(&self, sql: &str) -> Lock {
        let transaction = runtime().block_on(async {
            let transaction = self.connect().await?.begin().await?;
            transaction.execute_unprepared(sql).await?;
            Ok::<_, sea_orm::DbErr>(transaction)
        });
        Lock(Some(transaction.unwrap_or_else(|error| panic!("{sql}: {error}"))))
    }

    /// Every row of the market tables and the marts, without `_file_id`: what two databases must
    /// agree on.
    pub fn dump(&self) -> BTreeMap<&'static str, Vec<String>> {
        const TABLES: [&str; 10] = [
            "customers",
            "orders",
            "order_items",
            "deliveries",
            "delivery_items",
            "customer_metrics",
            "product_metrics",
            "merchant_metrics",
            "agent_metrics",
            "daily_metrics",
        ];
        TABLES
            .into_iter()
            .map(|table| {
                let mut columns = self.columns(table);
                columns.retain(|column| column != "_file_id");
                let quote = if self.engine == Engine::Mariadb { "`" } else { "\"" };
                let list: Vec<String> = columns
                    .iter()
                    .map(|column| match column.as_str() {
                        // Whether, not when.
                        "_deleted_at" => {
                            "CASE WHEN _deleted_at IS NULL THEN 'live' ELSE 'deleted' END"
                                .to_owned()
                        }
                        column => format!("{quote}{column}{quote}"),
                    })
                    .collect();
                let mut rows = self.rows(&format!("SELECT {} FROM {table}", list.join(", ")));
                rows.sort();
                (table, rows)
            })
            .collect()
    }

    /// Names of a table's columns, in alphabetical order.
    pub fn columns(&self, table: &str) -> Vec<String> {
        let sql = match self.engine {
            Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
            Engine::Mariadb => format!(
                "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{table}'"
            ),
            Engine::Postgres => format!(
                "SELECT column_name::text FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '{table}'"
            ),
        };
        let mut columns = self.rows(&sql);
        columns.sort();
        columns
    }

    async fn connect(&self) -> Result<DatabaseConnection, sea_orm::DbErr> {
        Database::connect(self.url.as_str()).await
    }
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().expect("threads can be started"))
}

fn row_text(row: &QueryResult) -> String {
    let cells: Vec<String> =
        (0..row.column_names().len()).map(|index| cell_text(row, index)).collect();
    cells.join("|")
}

/// The first type that the driver reads the cell as decides how it is written.
fn cell_text(row: &QueryResult, index: usize) -> String {
    fn read<T: TryGetable>(row: &QueryResult, index: usize) -> Option<Option<T>> {
        row.try_get_by_index::<Option<T>>(index).ok()
    }
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    if let Some(integer) = read::<i64>(row, index) {
        return text(integer);
    }
    if let Some(integer) = read::<i32>(row, index) {
        return text(integer);
    }
    if let Some(decimal) = read::<sea_orm::prelude::Decimal>(row, index) {
        return text(decimal.map(|decimal| decimal.normalize()));
    }
    if let Some(real) = read::<f64>(row, index) {
        return text(real);
    }
    // Before moments: SQLite has them as text, and a text column may hold what looks like one.
    if let Some(string) = read::<String>(row, index) {
        return text(string);
    }
    if let Some(moment) = read::<sea_orm::prelude::DateTimeUtc>(row, index) {
        return text(
            moment.map(|moment| moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
        );
    }
    if let Some(moment) = read::<sea_orm::prelude::DateTime>(row, index) {
        return text(
            moment.map(|moment| {
                moment.and_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
            }),
        );
    }
    if let Some(day) = read::<sea_orm::prelude::Date>(row, index) {
        return text(day);
    }
    let bytes = read::<Vec<u8>>(row, index)
        .unwrap_or_else(|| panic!("column {index} is of no type that tidegate stores"));
    text(bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}
