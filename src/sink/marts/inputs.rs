//! Inputs: what a mart waits for before it is computed: the indexes of its tables, and files that
//! are being written.

use crate::error::SyncError;
use crate::sink::marts::Marts;
use crate::sink::marts::definition::Mart;
use crate::sink::tables::indexes::filling_wait_max;
use std::collections::BTreeSet;
use tokio::time::Instant;

impl Marts {
    /// Tables of these marts that still lack their indexes.
    pub(crate) async fn unindexed<'a>(
        &self,
        marts: impl IntoIterator<Item = &'a Mart>,
    ) -> Result<Vec<String>, SyncError> {
        let shapes = self.tables.shapes();
        let mut tables: BTreeSet<&String> =
            marts.into_iter().flat_map(|mart| mart.reads(&shapes)).collect();
        tables.retain(|table| self.tables.indexes.are_lacking(table));
        let mut unindexed = Vec::new();
        for table in tables {
            if self.tables.holds_rows(table).await? {
                unindexed.push(table.clone());
            }
        }
        Ok(unindexed)
    }

    /// Waits for other files that change the input of a whole market's marts; otherwise the whole
    /// market would be computed again after them.
    pub(crate) async fn wait_for_others(&self, whole: &[(&Mart, &str)]) -> Result<(), SyncError> {
        let deadline = Instant::now() + filling_wait_max();
        for &(mart, market) in whole {
            for table in mart.touched_by.keys() {
                self.tables.wait_for_filling(table, Some(market), deadline).await?;
            }
        }
        Ok(())
    }
}
