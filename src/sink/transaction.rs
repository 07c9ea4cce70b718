//! Transaction: one write transaction on one connection, open to SeaORM's statements and to the
//! database's own bulk path alike.
//!
//! SeaORM's own transaction hides its connection, and a bulk load must be part of the same transaction
//! as the ledger's statements.

use super::dialect::Dialect;
use async_trait::async_trait;
use sea_orm::sqlx::{self, AssertSqlSafe, MySql, Postgres, Sqlite};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{Mutex, MutexGuard};

/// A transaction; dropped without a commit, it is rolled back.
pub(super) struct Transaction {
    backend: DbBackend,
    driver: Mutex<Driver>,
}

/// The driver's transaction.
pub(super) enum Driver {
    /// Of SQLite.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// Of MySQL or MariaDB.
    Mysql(sqlx::Transaction<'static, MySql>),
    /// Of PostgreSQL.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

macro_rules! with_driver {
    ($driver:expr, $transaction:ident => $work:expr) => {
        match $driver {
            Driver::Sqlite($transaction) => $work,
            Driver::Mysql($transaction) => $work,
            Driver::Postgres($transaction) => $work,
        }
    };
}

impl Transaction {
    /// Begins one. Readers elsewhere need no gap locks, and `INSERT … SELECT` must not take any: the servers
    /// run it as READ COMMITTED.
    pub async fn begin(connection: &DatabaseConnection, dialect: Dialect) -> Result<Self, DbErr> {
        const READ_COMMITTED: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
        let driver = match dialect {
            Dialect::Sqlite => {
                let connection = connection.get_sqlite_connection_pool().acquire().await.map_err(not_acquired)?;
                Driver::Sqlite(sqlx::Transaction::begin(connection, None).await.map_err(query_failed)?)
            }
            Dialect::Mysql => {
                let mut connection = connection.get_mysql_connection_pool().acquire().await.map_err(not_acquired)?;
                // MySQL sets what the next transaction will be, PostgreSQL what this one is.
                sqlx::raw_sql(READ_COMMITTED).execute(&mut *connection).await.map_err(exec_failed)?;
                Driver::Mysql(sqlx::Transaction::begin(connection, None).await.map_err(query_failed)?)
            }
            Dialect::Postgres => {
                let connection = connection.get_postgres_connection_pool().acquire().await.map_err(not_acquired)?;
                let mut transaction = sqlx::Transaction::begin(connection, None).await.map_err(query_failed)?;
                sqlx::raw_sql(READ_COMMITTED).execute(&mut *transaction).await.map_err(exec_failed)?;
                Driver::Postgres(transaction)
            }
        };
        Ok(Self { backend: dialect.backend(), driver: Mutex::new(driver) })
    }

    /// Commits it.
    pub async fn commit(self) -> Result<(), DbErr> {
        with_driver!(self.driver.into_inner(), transaction => transaction.commit().await.map_err(query_failed))
    }

    /// The driver, for a bulk path.
    pub async fn driver(&self) -> MutexGuard<'_, Driver> {
        self.driver.lock().await
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let (sql, values) = parts(statement);
        with_driver!(&mut *self.driver().await, transaction => {
            let executed = sqlx::query_with(sql, values).execute(&mut **transaction).await;
            executed.map(ExecResult::from).map_err(exec_failed)
        })
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let sql = AssertSqlSafe(sql.to_owned());
        with_driver!(&mut *self.driver().await, transaction => {
            let executed = sqlx::raw_sql(sql).execute(&mut **transaction).await;
            executed.map(ExecResult::from).map_err(exec_failed)
        })
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (sql, values) = parts(statement);
        with_driver!(&mut *self.driver().await, transaction => {
            let row = sqlx::query_with(sql, values).fetch_optional(&mut **transaction).await;
            row.map(|row| row.map(QueryResult::from)).map_err(query_failed)
        })
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (sql, values) = parts(statement);
        with_driver!(&mut *self.driver().await, transaction => {
            let rows = sqlx::query_with(sql, values).fetch_all(&mut **transaction).await;
            rows.map(|rows| rows.into_iter().map(QueryResult::from).collect()).map_err(query_failed)
        })
    }
}

/// Values never stand in the text: SeaORM and the templates bind them.
fn parts(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    let values = statement.values.unwrap_or_else(|| sea_orm::Values(Vec::new()));
    (AssertSqlSafe(statement.sql), SqlxValues(values))
}

/// The error of a pool that has no connection to give.
pub(super) fn not_acquired(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}

/// The error of a statement that changes something.
pub(super) fn exec_failed(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn query_failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
