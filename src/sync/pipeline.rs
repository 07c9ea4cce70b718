//! Pipeline: reads a file on one thread, transforms its chunks on rayon, and returns them in file
//! order.

use crate::chunk::{Chunk, JoinedRows, Position};
use crate::config::Config;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::feed::row_format::RowFormat;
use crate::process::progress;
use crate::sink::tables::bulk::encoder::Encoder;
use crate::source::reader::Reader;
use crate::source::unchanged::skips::Skips;
use crate::sync::correction::Correction;
use crate::sync::look::Surveyed;
use crate::transform::project::Projected;
use crate::transform::rules::Repeats;
use crate::transform::transform_by_steps;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Chunks that are transformed or wait while one is written: enough to keep two cores busy behind a
/// slow database, few enough for the memory limit.
const CHUNKS_IN_FLIGHT: usize = 2;

/// A chunk that is being transformed.
pub(crate) type PendingChunk = oneshot::Receiver<Result<Projected, SyncError>>;

/// How a file's rows are read.
pub(crate) struct Reading {
    /// Runs of records that are known to be unchanged, and are not read.
    pub skips: Arc<Skips>,
    /// Whether the reader computes a digest of each record, for the record index.
    pub digests: bool,
    /// Set for a corrected copy of rejects: rows that it takes from the corrected file.
    pub correction: Option<Arc<Correction>>,
    /// Encodes rows for the bulk load of the database, if they can be loaded as they are.
    pub encoder: Option<Encoder>,
}

/// Reads on one thread and hands each chunk to rayon. Chunks are received in file order.
pub(crate) fn start_reading(
    config: &Arc<Config>,
    surveyed: &Surveyed,
    dataset: &Arc<Dataset>,
    reading: Reading,
) -> mpsc::Receiver<PendingChunk> {
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let (content, layout, survey) =
        (Arc::clone(&surveyed.content), Arc::clone(&surveyed.layout), surveyed.survey.clone());
    let (format, position) =
        (surveyed.survey.format.rows, surveyed.file.position.unwrap_or(Position::START));
    let market = surveyed.file.market.clone().unwrap_or_default();
    let (config, dataset) = (Arc::clone(config), Arc::clone(dataset));
    let own_layout = Arc::clone(&surveyed.own_layout);
    let rule_pass = surveyed.rule_pass.clone().unwrap_or_default();
    let Reading { skips, digests, correction, encoder } = reading;
    let current = progress::current();
    let read = move || {
        let pass_on = |chunk: Result<Chunk, SyncError>| {
            let (done, pending) = oneshot::channel();
            match chunk {
                // The send fails if the file was given up.
                Err(error) => drop(done.send(Err(error))),
                Ok(chunk) => {
                    let (layout, dataset, market) =
                        (Arc::clone(&layout), Arc::clone(&dataset), market.clone());
                    let rule_pass = Arc::clone(&rule_pass);
                    rayon::spawn(move || {
                        let repeats = &rule_pass.repeats;
                        let made = transform_and_encode(
                            chunk, format, &layout, &dataset, &market, repeats, encoder,
                        );
                        drop(done.send(made));
                    });
                }
            }
            sender.blocking_send(pending).is_ok()
        };
        let joined: Option<&JoinedRows> = correction.as_ref().map(|correction| &correction.rows);
        let mut reader =
            match Reader::new(&content, &own_layout, &dataset, &config.limits, &survey, position) {
                Ok(reader) => reader.skipping(&skips.runs).digesting(digests).joining(joined),
                Err(error) => {
                    pass_on(Err(error));
                    return;
                }
            };
        while let Some(chunk) = reader.next_chunk().transpose() {
            let is_broken = chunk.is_err();
            if !pass_on(chunk) || is_broken {
                return;
            }
        }
    };
    tokio::task::spawn_blocking(move || progress::on_behalf_of(current, read));
    receiver
}

/// Transforms and encodes a chunk. A panic fails the file, not the process.
fn transform_and_encode(
    chunk: Chunk,
    format: RowFormat,
    layout: &Layout,
    dataset: &Dataset,
    market: &str,
    repeats: &Repeats,
    encoder: Option<Encoder>,
) -> Result<Projected, SyncError> {
    catch_unwind(AssertUnwindSafe(|| {
        let mut projected =
            transform_by_steps(chunk, format, layout, dataset, market, repeats, |_| ());
        if let Some(encoder) = encoder {
            for rows in
                [Some(&mut projected.records), projected.lines.as_mut()].into_iter().flatten()
            {
                rows.encoded = encoder.encode(rows);
            }
        }
        projected
    }))
    .map_err(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        SyncError::Internal(what.unwrap_or_else(|| "a panic without a message".to_owned()))
    })
}
