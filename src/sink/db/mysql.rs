//! MySQL: the connections that write. The pool's driver has no LOAD DATA LOCAL, so write
//! transactions use a connection of another driver. It has the same settings as the pool's
//! connections, and is kept between transactions.

use crate::config::database_url::DatabaseUrl;
use crate::sink::db::bounds::{Bounds, MYSQL_VARIABLES};
use crate::sink::db::dialect::Dialect;
use crate::sink::db::failure::ServerAnswer;
use crate::sink::db::mysql_values::{params, row_values};
use crate::sink::db::sockets;
use crate::sink::db::transaction::not_acquired;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, DriverError, Error, IoError, Opts, OptsBuilder, SslOpts};
use sea_orm::sqlx::MySqlPool;
use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DbErr, ExecResult, MockDatabase, MockExecResult, QueryResult,
    RuntimeErr, Statement, Values, sqlx,
};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// Prepared statements that the connection caches, as many as a connection of the pool.
const STATEMENTS_MAX: usize = 100;

/// Idle connections between transactions, as many as there were parallel transactions, and the
/// options for a new one.
#[derive(Debug)]
pub(crate) struct Idle {
    url: DatabaseUrl,
    bounds: Bounds,
    connections: Mutex<Vec<Connection>>,
}

impl Idle {
    /// Begins without a connection.
    pub fn new(url: DatabaseUrl, bounds: Bounds) -> Self {
        Self { url, bounds, connections: Mutex::default() }
    }

    fn take(&self) -> Option<Connection> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, connection: Connection) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// A transaction. Its connection is reused only after a commit. If it is dropped, the connection is
/// closed, which rolls back.
pub(crate) struct MysqlTransaction {
    pub connection: Connection,
    idle: Arc<Idle>,
}

impl MysqlTransaction {
    /// Begins a transaction. `patience` is how long the server may take for it.
    pub async fn begin(
        pool: &MySqlPool,
        idle: &Arc<Idle>,
        patience: Duration,
    ) -> Result<Self, DbErr> {
        const BEGIN: &str = "START TRANSACTION";
        let too_long = |_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout);
        if let Some(mut connection) = idle.take() {
            // The server may have closed the idle connection; then a new one is opened.
            if let Ok(Ok(())) = timeout(patience, connection.run(BEGIN)).await {
                return Ok(Self { connection, idle: Arc::clone(idle) });
            }
        }
        // This asks the pool, which has its own time limit.
        let mut connection =
            timeout(patience * 2, Connection::open(pool, idle)).await.map_err(too_long)??;
        timeout(patience, connection.run(BEGIN)).await.map_err(too_long)??;
        Ok(Self { connection, idle: Arc::clone(idle) })
    }

    /// Commits it, and keeps the connection.
    pub async fn commit(mut self) -> Result<(), DbErr> {
        self.connection.run("COMMIT").await?;
        self.idle.put(self.connection);
        Ok(())
    }
}

/// A connection that supports LOAD DATA LOCAL.
#[derive(Debug)]
pub(crate) struct Connection {
    connection: Conn,
    /// Whether the server accepts LOAD DATA LOCAL; assumed until it refuses.
    pub takes_files: bool,
}

/// Counts that LOAD DATA reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    pub rows: u64,
    pub warnings: u16,
}

impl Connection {
    async fn open(pool: &MySqlPool, idle: &Idle) -> Result<Self, DbErr> {
        // Copy the settings from a pool session: it shows what the driver, the server's defaults
        // and the URL's parameters set.
        let session: (String, String, String, String, String) = sqlx::query_as(
            "SELECT CAST(@@sql_mode AS CHAR), CAST(@@time_zone AS CHAR), CAST(@@character_set_client AS CHAR), \
             CAST(@@character_set_results AS CHAR), CAST(@@collation_connection AS CHAR)",
        )
        .fetch_one(pool)
        .await
        .map_err(not_acquired)?;
        let pool_options = pool.connect_options();
        let options = options(&pool_options, idle.url.reveal());
        let is_optional = matches!(pool_options.get_ssl_mode(), MySqlSslMode::Preferred);
        let mut connection = match Conn::new(options.clone()).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if is_optional => {
                Conn::new(OptsBuilder::from_opts(options).ssl_opts(None)).await
            }
            connected => connected,
        }
        .map_err(|error| DbErr::Conn(runtime(error)))?;
        let set = "SET sql_mode = ?, time_zone = ?, character_set_client = ?, character_set_results = ?, \
                   collation_connection = ?";
        connection.exec_drop(set, session).await.map_err(failed)?;
        // READ COMMITTED: no reader needs gap locks, and `INSERT … SELECT` must not take any.
        let isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
        connection.query_drop(isolation).await.map_err(failed)?;
        sockets::watch_over(pool_options.get_port());
        let variables: Vec<(String, String)> =
            connection.query(MYSQL_VARIABLES).await.map_err(failed)?;
        let names: Vec<String> = variables.into_iter().map(|(name, _)| name).collect();
        connection.query_drop(idle.bounds.mysql_statement(&names)).await.map_err(failed)?;
        Ok(Self { connection, takes_files: true })
    }

    /// The server's thread id of the connection.
    pub fn id(&self) -> u32 {
        self.connection.id()
    }

    /// Runs a statement without values, as its text.
    pub async fn run(&mut self, sql: &str) -> Result<(), DbErr> {
        self.connection.query_drop(sql).await.map_err(failed)
    }

    /// Like [`Connection::run`], and returns the result.
    pub async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(sql).await?;
        self.executed().await
    }

    /// Runs a statement that changes rows.
    pub async fn execute(&mut self, sql: &str, values: Values) -> Result<ExecResult, DbErr> {
        self.connection.exec_drop(sql, params(values)?).await.map_err(failed)?;
        self.executed().await
    }

    /// Runs a query.
    pub async fn query(&mut self, sql: &str, values: Values) -> Result<Vec<QueryResult>, DbErr> {
        let rows: Vec<mysql_async::Row> = self
            .connection
            .exec(sql, params(values)?)
            .await
            .map_err(|error| DbErr::Query(runtime(error)))?;
        let rows = rows.into_iter().map(row_values).collect::<Result<Vec<_>, _>>()?;
        results().append_query_results([rows]).into_connection().query_all_raw(nothing()).await
    }

    /// Runs a LOAD DATA LOCAL with these blocks as its file.
    pub async fn load(&mut self, sql: &str, blocks: Arc<[Bytes]>) -> Result<Loaded, DbErr> {
        let file = stream::iter((0..blocks.len()).map(move |at| Ok(blocks[at].clone()))).boxed();
        let file = Mutex::new(Some(file));
        self.connection.set_infile_handler(async move {
            let file = file.into_inner().unwrap_or_else(PoisonError::into_inner);
            Ok(file.expect("a file is asked for once"))
        });
        let done = self.run(sql).await;
        // Remove an unused file, so that no other statement can load it.
        self.connection.set_infile_handler(async { Ok(stream::empty().boxed()) });
        done?;
        Ok(Loaded {
            rows: self.connection.affected_rows(),
            warnings: self.connection.get_warnings(),
        })
    }

    async fn executed(&self) -> Result<ExecResult, DbErr> {
        let result = MockExecResult {
            last_insert_id: self.connection.last_insert_id().unwrap_or_default(),
            rows_affected: self.connection.affected_rows(),
        };
        results().append_exec_results([result]).into_connection().execute_raw(nothing()).await
    }
}

/// Only a SeaORM connection can construct SeaORM results, so this mock connection returns what it
/// is given. SeaORM's `proxy` is meant for that, but does not compile together with sqlx (2.0.4).
fn results() -> MockDatabase {
    MockDatabase::new(Dialect::Mysql.backend())
}

fn nothing() -> Statement {
    Statement::from_string(Dialect::Mysql.backend(), "")
}

/// Converts the pool's options to this driver's; some can only be read from the URL.
fn options(pool_options: &MySqlConnectOptions, url: &str) -> Opts {
    let mut url = Url::parse(url).expect("the pool's driver has read it");
    let parameters: HashMap<String, String> = url.query_pairs().into_owned().collect();
    url.set_query(None);
    let password =
        Opts::from_url(url.as_str()).ok().and_then(|options| options.pass().map(str::to_owned));
    let socket = pool_options.get_socket().map(|path| path.to_string_lossy().into_owned());
    // A Unix socket needs no encryption, and this driver does not support it there.
    let ssl = if socket.is_some() { None } else { ssl(pool_options.get_ssl_mode(), &parameters) };
    // The URL has brackets around an IPv6 address.
    let host = pool_options.get_host().trim_start_matches('[').trim_end_matches(']');
    OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(pool_options.get_port())
        .user(Some(pool_options.get_username()))
        .pass(password)
        .db_name(pool_options.get_database())
        .socket(socket)
        // Otherwise the driver would switch a connection to this machine to a socket, against the
        // URL.
        .prefer_socket(false)
        .ssl_opts(ssl)
        .stmt_cache_size(STATEMENTS_MAX)
        // Count found rows, also unchanged ones, like the pool's connections.
        .client_found_rows(true)
        .into()
}

fn ssl(mode: MySqlSslMode, parameters: &HashMap<String, String>) -> Option<SslOpts> {
    let path =
        |names: [&str; 2]| names.iter().find_map(|name| parameters.get(*name)).map(PathBuf::from);
    let (verifies_authority, verifies_name) = match mode {
        MySqlSslMode::Disabled => return None,
        MySqlSslMode::Preferred | MySqlSslMode::Required => (false, false),
        MySqlSslMode::VerifyCa => (true, false),
        MySqlSslMode::VerifyIdentity => (true, true),
    };
    let authority = path(["ssl-ca", "sslca"]).filter(|_| verifies_authority);
    let identity = path(["ssl-cert", "sslcert"]).zip(path(["ssl-key", "sslkey"]));
    Some(
        SslOpts::default()
            .with_root_certs(authority.into_iter().map(Into::into).collect())
            .with_client_identity(
                identity.map(|(cert, key)| ClientIdentity::new(cert.into(), key.into())),
            )
            .with_danger_accept_invalid_certs(!verifies_authority)
            .with_danger_skip_domain_validation(!verifies_name),
    )
}

/// Converts the error of a statement.
fn failed(error: Error) -> DbErr {
    DbErr::Exec(runtime(error))
}

/// Use the shape of the pool driver's errors, so that one table decides which errors are passing.
fn runtime(error: Error) -> RuntimeErr {
    let error = match error {
        Error::Server(answer) => sqlx::Error::Database(Box::new(ServerAnswer::new(
            answer.code,
            answer.state,
            answer.message,
        ))),
        Error::Io(IoError::Io(error)) => sqlx::Error::Io(error),
        Error::Io(IoError::Tls(error)) => sqlx::Error::Tls(Box::new(error)),
        Error::Driver(
            error @ (DriverError::ConnectionClosed
            | DriverError::PacketOutOfOrder
            | DriverError::UnexpectedPacket { .. }
            | DriverError::NoClientSslFlagFromServer),
        ) => sqlx::Error::Protocol(error.to_string()),
        error => sqlx::Error::InvalidArgument(error.to_string()),
    };
    RuntimeErr::SqlxError(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::sqlx::ConnectOptions;

    fn options_of(url: &str) -> Opts {
        let pool_options =
            MySqlConnectOptions::from_url(&Url::parse(url).expect("a URL")).expect("of MySQL");
        options(&pool_options, url)
    }

    #[test]
    fn both_drivers_read_a_url_alike() {
        let options = options_of("mysql://us%40er:p%3A%2F%25@[::1]:3307/da%20ta?ssl-mode=DISABLED");
        assert_eq!((options.user(), options.pass()), (Some("us@er"), Some("p:/%")));
        assert_eq!(
            (options.ip_or_hostname(), options.tcp_port(), options.db_name()),
            ("::1", 3307, Some("da ta"))
        );
        assert!(options.ssl_opts().is_none());
        let options = options_of("mysql://localhost/x?socket=/run/s.sock");
        assert_eq!(
            (options.user(), options.pass(), options.socket()),
            (Some("root"), None, Some("/run/s.sock"))
        );
        assert!(options.ssl_opts().is_none());
    }

    #[test]
    fn encryption_is_as_strict_as_the_url_says() {
        let ssl = |parameters: &str| {
            let options = options_of(&format!("mysql://host/x?{parameters}"));
            let ssl = options.ssl_opts().expect("encryption").clone();
            let authorities = ssl.root_certs().len();
            (
                !ssl.accept_invalid_certs(),
                !ssl.skip_domain_validation(),
                authorities,
                ssl.client_identity().is_some(),
            )
        };
        assert_eq!(ssl("ssl-ca=/ca.pem"), (false, false, 0, false));
        assert_eq!(ssl("sslmode=required&ssl-cert=/c&ssl-key=/k"), (false, false, 0, true));
        assert_eq!(ssl("ssl-mode=VERIFY_CA&ssl-ca=/ca.pem"), (true, false, 1, false));
        assert_eq!(ssl("ssl-mode=verify_identity"), (true, true, 0, false));
    }
}
