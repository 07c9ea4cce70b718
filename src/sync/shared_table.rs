//! Shared table: several datasets may write to one. A record belongs to the dataset of the file
//! that last wrote it, so a file with a key that another dataset's record has in the same market is
//! refused: one of them would overwrite the other for ever.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::sync::delete::read_mentions;
use crate::sync::look::Surveyed;
use crate::sync::session::Session;
use std::sync::Arc;

/// Refuses a file that mentions a record of another dataset.
///
/// # Errors
///
/// [`SyncError::Damaged`] with the first such key; and when the file or the database fails.
pub(crate) async fn check_owners(
    session: &Session,
    surveyed: &Surveyed,
    dataset: &Arc<Dataset>,
) -> Result<(), SyncError> {
    let others = &surveyed.others;
    // A file that was begun was checked, and what it wrote since is its own.
    let is_made = session.sink.tables.shapes().contains_key(&dataset.table);
    if others.is_empty() || !is_made || dataset.is_keyless() || surveyed.file.position.is_some() {
        return Ok(());
    }
    let market = surveyed.file.market.as_deref().unwrap_or_default();
    let tables = &session.sink.tables;
    if !tables.has_rows(&dataset.table, market).await? {
        return Ok(());
    }
    let mut first = Some(0);
    while let Some(start) = first {
        let mentions = read_mentions(session, surveyed, dataset, &Arc::from([]), start).await?;
        let mut after = String::new();
        loop {
            let keys = tables.keys_of_others(dataset, others, market, &after).await?;
            if let Some(key) = keys.iter().find(|key| mentions.contains(key) == Some(true)) {
                let mut owner = others.join(", ");
                for other in others {
                    let keys = tables
                        .keys_of_others(dataset, std::slice::from_ref(other), market, &after)
                        .await?;
                    if keys.contains(key) {
                        owner.clone_from(other);
                    }
                }
                return Err(SyncError::damaged(format!(
                    "the key `{key}` is that of a record which another dataset ({owner}) wrote to table {} in market `{market}`: \
                     give one of them a table or a market of its own, or drop files of one of them only",
                    dataset.table
                )));
            }
            let Some(last) = keys.last() else { break };
            last.clone_into(&mut after);
        }
        first = mentions.next_first();
    }
    Ok(())
}
