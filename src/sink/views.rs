//! Views: made anew whenever their text changes, which it does when a table gets a column.

use super::Sink;
use super::dialect::Dialect;
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
            let fingerprint = hex(&Sha256::digest(query.sql.as_bytes()));
            let exists = !self.columns_of(&view.name).await?.is_empty();
            let write = self.begin().await?;
            if !self.define(&write.transaction, &view.name, &fingerprint).await? && exists {
                continue;
            }
            // MySQL replaces a view in one step, and commits it by itself; the others roll back.
            if self.dialect == Dialect::Mysql {
                write
                    .transaction
                    .execute_unprepared(&format!("CREATE OR REPLACE VIEW {name} AS {}", query.sql))
                    .await?;
            } else {
                write.transaction.execute_unprepared(&format!("DROP VIEW IF EXISTS {name}")).await?;
                write.transaction.execute_unprepared(&format!("CREATE VIEW {name} AS {}", query.sql)).await?;
            }
            write.commit().await?;
        }
        Ok(())
    }
}
