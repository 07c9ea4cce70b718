//! Connection: the connection pool, with a time limit on every statement. Code that needs more than
//! statements can reach the pool itself.

use crate::sink::db::bounds::Bounds;
use crate::sink::db::lost::LostSessions;
use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};
use std::ops::Deref;
use std::sync::Arc;

/// The pool and its time limits.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pool: DatabaseConnection,
    pub bounds: Bounds,
    pub lost: Arc<LostSessions>,
}

impl Connection {
    /// Wraps a pool with these limits.
    pub fn new(pool: DatabaseConnection, bounds: Bounds) -> Self {
        Self { pool, bounds, lost: Arc::default() }
    }
}

impl Deref for Connection {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.pool
    }
}

#[async_trait]
impl ConnectionTrait for Connection {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.bounds.keep(self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.bounds.keep(self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.bounds.keep(self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.bounds.keep(self.pool.query_all_raw(statement)).await
    }
}
