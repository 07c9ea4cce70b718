//! Unfilled: columns that the configuration declares, and that no file has brought a value for:
//! their names may be spelt otherwise in files.

use crate::config::Config;
use crate::dispatch::retry::look_at_database;
use crate::error::SyncError;
use std::collections::BTreeMap;

/// Of each dataset with rows, its declared columns without any value.
///
/// # Errors
///
/// When the database fails.
pub async fn unfilled(config: &Config) -> Result<BTreeMap<String, Vec<String>>, SyncError> {
    let unfilled = look_at_database(config, async |sink| {
        let mut unfilled = BTreeMap::new();
        for dataset in config.datasets.iter().filter(|dataset| !dataset.own_columns.is_empty()) {
            let columns = sink.tables.without_values(dataset, &dataset.own_columns).await?;
            if !columns.is_empty() {
                unfilled.insert(dataset.name.clone(), columns);
            }
        }
        Ok(unfilled)
    });
    Ok(unfilled.await?.unwrap_or_default())
}
