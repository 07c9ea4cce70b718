//! Declared tables: a table whose columns a dataset declares is made at the start, so that marts
//! and views may name it before its first file.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::{Layout, lacking_tables};
use crate::sink::Sink;
use crate::sink::ledger::recorded::Evolution;
use std::sync::Arc;

/// What is known of the names of tables that the ledger does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamesAre {
    /// Nothing may have them.
    Free,
    /// They were made before, as in a scratch database whose ledger became a copy of another one.
    Made,
}

impl Sink {
    /// Lists the declared tables that nobody made so far in the ledger; whoever restores the
    /// columns that it lists makes them.
    ///
    /// # Errors
    ///
    /// When the database fails, or something else has the name of such a table.
    pub(crate) async fn record_declared_tables(
        &self,
        datasets: &[Arc<Dataset>],
        now_ms: i64,
        names: NamesAre,
    ) -> Result<(), SyncError> {
        let mut shapes = (*self.tables.shapes()).clone();
        for dataset in datasets.iter().filter(|dataset| !dataset.is_template()) {
            let layout = Layout::of_declaration(dataset, &shapes);
            let lacking = lacking_tables(dataset, &shapes);
            if layout.columns.is_empty() || lacking.is_empty() {
                continue;
            }
            for shape in lacking.iter().filter(|_| names == NamesAre::Free) {
                self.check_free_name(&shape.name).await.map_err(|error| {
                    SyncError::Configuration(format!("datasets.{}: {error}", dataset.name))
                })?;
            }
            let mut changes = layout.reconcile(dataset, &shapes);
            changes.retain(|change| lacking.iter().any(|shape| shape.name == change.table));
            let evolution =
                Evolution { dataset, lacking: &lacking, changes: &changes, file_id: None, now_ms };
            let write = self.db.begin().await?;
            for shape in &lacking {
                self.ledger.record_table(&write.transaction, shape, &evolution).await?;
            }
            for change in &changes {
                self.ledger.record_change(&write.transaction, change, &evolution).await?;
            }
            write.commit().await?;
            // Another dataset may share it.
            shapes.extend(lacking.into_iter().map(|shape| (shape.name.clone(), shape)));
        }
        Ok(())
    }
}
