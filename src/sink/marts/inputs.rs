//! Inputs: what must be there before a mart is computed: the indexes of its tables, and the files that are being written.

use crate::error::SyncError;
use crate::sink::marts::Marts;
use crate::sink::marts::definition::Mart;
use crate::sink::tables::indexes::filling_wait_max;
use std::collections::BTreeSet;
use tokio::time::Instant;

impl Marts {
    /// The tables that these marts read without the indexes that they have to have.
    pub(crate) async fn unindexed<'a>(
        &self,
        marts: impl IntoIterator<Item = &'a Mart>,
    ) -> Result<Vec<String>, SyncError> {
        let shapes = self.tables.shapes();
        let mut tables: BTreeSet<&String> = marts.into_iter().flat_map(|mart| mart.reads(&shapes)).collect();
        tables.retain(|table| self.tables.indexes.are_lacking(table));
        let mut unindexed = Vec::new();
        for table in tables {
            if self.tables.holds_rows(table).await? {
                unindexed.push(table.clone());
            }
        }
        Ok(unindexed)
    }

    /// Waits for other files that change what marts of a market are computed from as a whole: they would have all of it
    /// computed once more.
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
