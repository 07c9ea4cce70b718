//! Transaction: one write transaction on one connection, for SeaORM statements and for the
//! database's bulk load.
//!
//! SeaORM's own transaction hides its connection, but a bulk load must be in the same transaction
//! as the ledger's statements.

use crate::sink::db::bounds::Bounds;
use crate::sink::db::connect::CONNECT_TIMEOUT;
use crate::sink::db::connection::Connection;
use crate::sink::db::dialect::Dialect;
use crate::sink::db::long_step::DbSession;
use crate::sink::db::lost::LostSessions;
use crate::sink::db::mysql::{Idle, MysqlTransaction};
use async_trait::async_trait;
use sea_orm::sqlx::{AssertSqlSafe, Postgres, Row, Sqlite};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement, Values, sqlx,
};
use sea_query_sqlx::SqlxValues;
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// A transaction. It rolls back if it is dropped without a commit.
pub(crate) struct Transaction {
    backend: DbBackend,
    /// Identifies the session, so that its statements can be cancelled.
    pub session: DbSession,
    driver: Mutex<Driver>,
    bounds: Bounds,
    lost: Arc<LostSessions>,
}

/// The driver's transaction.
pub(crate) enum Driver {
    /// SQLite's transaction.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// The connection to MySQL or MariaDB.
    Mysql(MysqlTransaction),
    /// PostgreSQL's transaction.
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// Two of the drivers have the same interface; the third one does the same with its own.
macro_rules! with_driver {
    ($driver:expr, $transaction:ident => $work:expr, $mysql:ident => $mysql_work:expr) => {
        match $driver {
            Driver::Sqlite($transaction) => $work,
            Driver::Postgres($transaction) => $work,
            Driver::Mysql($mysql) => $mysql_work,
        }
    };
}

impl Transaction {
    /// Begins a transaction. `idle` keeps MySQL's connection between transactions.
    pub async fn begin(
        connection: &Connection,
        dialect: Dialect,
        idle: &Arc<Idle>,
    ) -> Result<Self, DbErr> {
        connection.lost.end(connection, dialect).await?;
        let (driver, session) =
            connection.bounds.keep_short(open(connection, dialect, idle)).await?;
        let (bounds, lost) = (connection.bounds, Arc::clone(&connection.lost));
        Ok(Self { backend: dialect.backend(), driver: Mutex::new(driver), bounds, session, lost })
    }

    /// Commits it.
    pub async fn commit(self) -> Result<(), DbErr> {
        let Self { driver, bounds, session, lost, .. } = self;
        let commit = async {
            with_driver!(
                driver.into_inner(),
                transaction => transaction.commit().await.map_err(query_failed),
                mysql => mysql.commit().await
            )
        };
        bounds.keep_or(commit, || lost.note(session.number())).await
    }

    /// Awaits the work of one statement, within the time limit. Without an answer the transaction
    /// is unusable; its session counts as lost, because it may keep its locks until the server ends
    /// it.
    pub async fn keep<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.bounds.keep_or(work, || self.lost.note(self.session.number())).await
    }

    /// Like [`Transaction::keep`], for work that is fast once it has its lock.
    pub async fn keep_short<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.bounds.keep_short_or(work, || self.lost.note(self.session.number())).await
    }

    /// The driver's connection, for a bulk load.
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
        self.keep(async {
            with_driver!(
                &mut *self.driver().await,
                transaction => {
                    let query = sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values));
                    query.execute(&mut **transaction).await.map(ExecResult::from).map_err(exec_failed)
                },
                mysql => mysql.connection.execute(&sql, values).await
            )
        })
        .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.keep(async {
            with_driver!(
                &mut *self.driver().await,
                transaction => {
                    let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
                    query.execute(&mut **transaction).await.map(ExecResult::from).map_err(exec_failed)
                },
                mysql => mysql.connection.execute_unprepared(sql).await
            )
        })
        .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let (sql, values) = parts(statement);
        self.keep(async {
            with_driver!(
                &mut *self.driver().await,
                transaction => {
                    let query = sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values));
                    let row = query.fetch_optional(&mut **transaction).await;
                    row.map(|row| row.map(QueryResult::from)).map_err(query_failed)
                },
                mysql => Ok(mysql.connection.query(&sql, values).await?.into_iter().next())
            )
        })
        .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (sql, values) = parts(statement);
        self.keep(async {
            with_driver!(
                &mut *self.driver().await,
                transaction => {
                    let query = sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values));
                    let rows = query.fetch_all(&mut **transaction).await;
                    rows.map(|rows| rows.into_iter().map(QueryResult::from).collect()).map_err(query_failed)
                },
                mysql => mysql.connection.query(&sql, values).await
            )
        })
        .await
    }
}

/// A connection with a begun transaction, and the server's id of the session.
async fn open(
    connection: &Connection,
    dialect: Dialect,
    idle: &Arc<Idle>,
) -> Result<(Driver, DbSession), DbErr> {
    match dialect {
        Dialect::Sqlite => {
            let connection =
                connection.get_sqlite_connection_pool().acquire().await.map_err(not_acquired)?;
            let transaction =
                sqlx::Transaction::begin(connection, None).await.map_err(query_failed)?;
            Ok((Driver::Sqlite(transaction), DbSession::Sqlite))
        }
        Dialect::Mysql => {
            let pool = connection.get_mysql_connection_pool();
            let transaction = MysqlTransaction::begin(pool, idle, CONNECT_TIMEOUT).await?;
            let session = DbSession::Mysql(transaction.connection.id());
            Ok((Driver::Mysql(transaction), session))
        }
        Dialect::Postgres => {
            let connection =
                connection.get_postgres_connection_pool().acquire().await.map_err(not_acquired)?;
            let mut transaction =
                sqlx::Transaction::begin(connection, None).await.map_err(query_failed)?;
            // Set explicitly, whatever the server's default is: a statement must see what others
            // have committed.
            let isolation =
                "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SELECT pg_backend_pid()";
            let row =
                sqlx::raw_sql(isolation).fetch_one(&mut *transaction).await.map_err(exec_failed)?;
            let id = row.try_get(0).map_err(exec_failed)?;
            Ok((Driver::Postgres(transaction), DbSession::Postgres(id)))
        }
    }
}

/// The text never contains values: SeaORM and the templates bind them.
fn parts(statement: Statement) -> (String, Values) {
    (statement.sql, statement.values.unwrap_or_else(|| Values(Vec::new())))
}

/// The error for a pool without a free connection.
pub(crate) fn not_acquired(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}

/// The error for a statement that changes rows.
pub(crate) fn exec_failed(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// The error for a query.
pub(crate) fn query_failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}
