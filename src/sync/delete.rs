//! Deletes: marks or removes stored records that the newest full export of their market does not
//! mention.
//!
//! The step comes after the file's last chunk, while the file is still `syncing`. After a crash the
//! next start repeats it and finds fewer records to delete. The share can only shrink that way, so
//! a deletion that passed the guard once passes it again.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Deletes};
use crate::process::clock::now_ms;
use crate::process::progress::moved;
use crate::process::terminal::quoted;
use crate::sink::ledger::files::FileRecord;
use crate::source::mentions::Mentions;
use crate::sync::look::Surveyed;
use crate::sync::session::{Session, blocking};
use std::sync::Arc;

/// Records that one transaction deletes: other writers get their turn during a large deletion.
const RECORDS_PER_COMMIT: usize = 2000;

/// Makes the deletions of a file, or returns why they are held.
///
/// # Errors
///
/// When the file or the database fails.
pub(crate) async fn delete_unmentioned(
    session: &Session,
    surveyed: &Surveyed,
    dataset: &Arc<Dataset>,
    file: &mut FileRecord,
) -> Result<Option<String>, SyncError> {
    if dataset.deletes == Deletes::Keep {
        return Ok(None);
    }
    let corrected: Arc<[String]> = session.sink.ledger.corrected_keys(file.id).await?.into();
    let mentions = read_mentions(session, surveyed, dataset, &corrected, 0).await?;
    let mut step = Step { session, surveyed, dataset, corrected, mentions };
    let tally = step.count(file).await?;
    if tally.unmentioned == 0 {
        return Ok(None);
    }
    let percent_max = dataset.deletes_max_percent.unwrap_or(session.config.deletes_max_percent);
    if !file.is_approved
        && let Some(objection) = tally.objection(percent_max, step.mentions.rows_without_key)
    {
        return Ok(Some(held_reason(&tally, dataset, file, &objection)));
    }
    step.delete(file).await?;
    Ok(None)
}

/// Counts the market's records that may be deleted, and those that the file does not mention.
#[derive(Default)]
struct Tally {
    stored: u64,
    unmentioned: u64,
}

impl Tally {
    /// The reason against the deletion, if there is one.
    fn objection(&self, percent_max: f64, rows_without_key: u64) -> Option<String> {
        let percent = 100.0 * self.unmentioned as f64 / self.stored as f64;
        if percent > percent_max {
            return Some(format!(
                "which is {percent:.1} % where deletes_max_percent allows {percent_max}"
            ));
        }
        (rows_without_key > 0).then(|| {
            format!("but {rows_without_key} of its rows cannot be loaded and do not say of which record they are")
        })
    }
}

fn held_reason(tally: &Tally, dataset: &Dataset, file: &FileRecord, objection: &str) -> String {
    format!(
        "it does not mention {} of the {} stored {} of market {}, {objection}; nothing was deleted. If the export is \
         right, run: tidegate approve {}; else drop a right one",
        tally.unmentioned,
        tally.stored,
        dataset.table,
        file.market.as_deref().unwrap_or_default(),
        quoted(&file.path)
    )
}

pub(super) async fn read_mentions(
    session: &Session,
    surveyed: &Surveyed,
    dataset: &Arc<Dataset>,
    corrected: &Arc<[String]>,
    first: u128,
) -> Result<Mentions, SyncError> {
    let (content, layout, format) =
        (Arc::clone(&surveyed.content), Arc::clone(&surveyed.layout), surveyed.survey.format.rows);
    let (config, dataset, corrected) =
        (Arc::clone(&session.config), Arc::clone(dataset), Arc::clone(corrected));
    blocking(move || {
        Mentions::read(&content, format, &layout, &dataset, &config.limits, &corrected, first)
    })
    .await
}

struct Step<'a> {
    session: &'a Session,
    surveyed: &'a Surveyed,
    dataset: &'a Arc<Dataset>,
    /// Records that got rows of the file by corrected copies.
    corrected: Arc<[String]>,
    mentions: Mentions,
}

impl Step<'_> {
    async fn count(&mut self, file: &FileRecord) -> Result<Tally, SyncError> {
        let mut tally = Tally::default();
        let mut first = Some(0);
        while let Some(start) = first {
            self.read_from(start).await?;
            let mut after = String::new();
            while let Some(keys) = self.next_keys(file, &mut after).await? {
                let is_mentioned = keys.iter().filter_map(|key| self.mentions.contains(key));
                is_mentioned.for_each(|is_mentioned| {
                    tally.stored += 1;
                    tally.unmentioned += u64::from(!is_mentioned);
                });
            }
            first = self.mentions.next_first();
        }
        Ok(tally)
    }

    async fn delete(&mut self, file: &mut FileRecord) -> Result<(), SyncError> {
        let mut first = Some(0);
        while let Some(start) = first {
            self.read_from(start).await?;
            let mut after = String::new();
            let mut unmentioned: Vec<String> = Vec::new();
            while let Some(keys) = self.next_keys(file, &mut after).await? {
                unmentioned.extend(
                    keys.into_iter().filter(|key| self.mentions.contains(key) == Some(false)),
                );
                let whole = unmentioned.len() - unmentioned.len() % RECORDS_PER_COMMIT;
                let left = unmentioned.split_off(whole);
                self.commit(file, &unmentioned).await?;
                unmentioned = left;
            }
            self.commit(file, &unmentioned).await?;
            first = self.mentions.next_first();
        }
        Ok(())
    }

    async fn commit(&self, file: &mut FileRecord, unmentioned: &[String]) -> Result<(), SyncError> {
        for keys in unmentioned.chunks(RECORDS_PER_COMMIT) {
            if self.session.shutdown.is_cancelled() {
                return Err(SyncError::Stopped);
            }
            file.counts =
                self.session.sink.delete_records(file, self.dataset, keys, now_ms()).await?;
        }
        Ok(())
    }

    /// Loads the range that starts at a hash, unless it is loaded already.
    async fn read_from(&mut self, first: u128) -> Result<(), SyncError> {
        if self.mentions.first != first {
            self.mentions =
                read_mentions(self.session, self.surveyed, self.dataset, &self.corrected, first)
                    .await?;
        }
        Ok(())
    }

    /// The next page of stored keys; moves `after` to its end.
    async fn next_keys(
        &self,
        file: &FileRecord,
        after: &mut String,
    ) -> Result<Option<Vec<String>>, SyncError> {
        let market = file.market.as_deref().unwrap_or_default();
        let keys = self
            .session
            .sink
            .tables
            .stored_keys(self.dataset, &self.surveyed.others, market, after)
            .await?;
        moved();
        let Some(last) = keys.last() else { return Ok(None) };
        last.clone_into(after);
        Ok(Some(keys))
    }
}
