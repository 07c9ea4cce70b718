//! Views: made anew whenever their text changes, which it does when a table gets a column.

use super::Sink;
use super::template::{Scope, render};
use crate::dataset::hex;
use crate::error::SyncError;
use sea_orm::ConnectionTrait;
use sha2::{Digest, Sha256};

impl Sink {
    /// Makes the views that are missing or outdated.
    pub(super) async fn define_views(&self) -> Result<(), SyncError> {
        for view in &self.definitions.views {
            let query = render(&view.name, &view.body, self.dialect, &self.shapes(), &Scope::View)?;
            let name = self.dialect.quote(&view.name);
            let create = self.in_binary(&format!("CREATE OR REPLACE VIEW {name} AS {}", query.sql));
            // Where the collation is part of how a view is made, it is made anew for it.
            let definition = if self.collation.is_some() { &create } else { &query.sql };
            let fingerprint = hex(&Sha256::digest(definition.as_bytes()));
            let exists = !self.columns_of(&view.name).await?.is_empty();
            if exists && self.is_defined(&view.name, &fingerprint).await? {
                continue;
            }
            // MySQL replaces a view in one step and commits it by itself, so that it must come before its
            // fingerprint; the others roll both back.
            if !self.dialect.rolls_back_ddl() {
                let _writing = self.writing.lock().await;
                self.connection.execute_unprepared(&create).await?;
            }
            let write = self.begin().await?;
            self.define(&write.transaction, &view.name, &fingerprint).await?;
            if self.dialect.rolls_back_ddl() {
                write.transaction.execute_unprepared(&format!("DROP VIEW IF EXISTS {name}")).await?;
                write.transaction.execute_unprepared(&format!("CREATE VIEW {name} AS {}", query.sql)).await?;
            }
            write.commit().await?;
        }
        Ok(())
    }

    /// A literal of a view, and what is made of it, has the collation of the connection that made the view: on MySQL one that
    /// folds case, unless it is told otherwise. In one text with the view, because each may go to another connection.
    fn in_binary(&self, create: &str) -> String {
        match &self.collation {
            None => create.to_owned(),
            Some(collation) => format!(
                "SET @before = @@collation_connection; SET collation_connection = {collation}; {create}; \
                 SET collation_connection = @before"
            ),
        }
    }

    /// Drops the views, the last one first: it may read the others.
    pub(super) async fn drop_views(&self, transaction: &impl ConnectionTrait) -> Result<(), SyncError> {
        for view in self.definitions.views.iter().rev() {
            let name = self.dialect.quote(&view.name);
            transaction.execute_unprepared(&format!("DROP VIEW IF EXISTS {name}")).await?;
        }
        Ok(())
    }

    /// Makes the views as they were: the kinds of columns are no part of their text.
    pub(super) async fn create_views(&self, transaction: &impl ConnectionTrait) -> Result<(), SyncError> {
        for view in &self.definitions.views {
            let query = render(&view.name, &view.body, self.dialect, &self.shapes(), &Scope::View)?;
            let name = self.dialect.quote(&view.name);
            let create = self.in_binary(&format!("CREATE VIEW {name} AS {}", query.sql));
            transaction.execute_unprepared(&create).await?;
        }
        Ok(())
    }
}
