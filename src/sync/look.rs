//! Look: the first reading of a file, after which it is known whether it is refused.

use crate::error::SyncError;
use crate::feed::correction::Header;
use crate::feed::dataset::{Dataset, FeedKind};
use crate::feed::layout::Layout;
use crate::feed::row_format::RowFormat;
use crate::sink::ledger::attempts;
use crate::sink::ledger::attempts::Company;
use crate::sink::ledger::files::FileRecord;
use crate::source::survey::{Survey, survey_with};
use crate::source::text::content::Content;
use crate::source::text::read_text;
use crate::source::unchanged::record_index::{Origin, RecordIndexWriter};
use crate::source::unchanged::skips::{IndexPlace, Skips, origin};
use crate::sync::checkpoint::Checkpoint;
use crate::sync::quarantine;
use crate::sync::session::{Session, blocking};
use crate::sync::take::TakenFile;
use std::sync::Arc;

/// A file that was looked at.
pub(crate) struct Surveyed {
    /// Its line in the ledger.
    pub file: FileRecord,
    /// Its text.
    pub content: Arc<Content>,
    /// What was found.
    pub survey: Survey,
    /// The columns of its rows, and of rows that other files add to its records.
    pub layout: Arc<Layout>,
    /// The columns of its rows.
    pub own_layout: Arc<Layout>,
}

impl Surveyed {
    /// Whether what becomes of the file's records is to be known when the next export comes. Only where one dataset alone
    /// writes to its table: files of another one are not synced in turn with this one's.
    pub fn leaves_index(&self, session: &Session, dataset: &Dataset) -> bool {
        may_have_index(session, &self.file, dataset)
            && matches!(self.survey.format.rows, RowFormat::Csv(_))
            && self.content.size_bytes() >= session.config.limits.record_index_bytes_min
    }

    /// What the rows of this file become rests on this.
    pub fn origin(&self, session: &Session, dataset: &Dataset, generation: &str) -> Origin {
        origin(dataset, &session.sink.tables.shapes(), &self.survey.header, self.survey.format.rows, generation)
    }

    /// After everything that the file changes: nobody else writes to its table and market meanwhile.
    pub async fn leave_index(
        &self,
        session: &Session,
        dataset: &Dataset,
        index: RecordIndexWriter,
    ) -> Result<(), SyncError> {
        let market = self.file.market.as_deref().unwrap_or_default();
        let Some(generation) = session.sink.ledger.generation(&dataset.table, market).await? else { return Ok(()) };
        let origin = self.origin(session, dataset, &generation);
        blocking(move || {
            index.finish(&origin);
            Ok(())
        })
        .await
    }
}

/// Whether an index may know, or be left by, the records of a file.
fn may_have_index(session: &Session, file: &FileRecord, dataset: &Dataset) -> bool {
    let writes_to_table = |other: &&Arc<Dataset>| other.table == dataset.table && !other.is_template();
    dataset.kind == FeedKind::Full
        && file.corrects.is_none()
        && !dataset.is_keyless()
        && !dataset.is_made
        && session.config.datasets.iter().filter(writes_to_table).count() == 1
}

/// Looks at every row, unless a checkpoint knows what there is to see, and decides whether the file is refused.
pub(crate) async fn look(
    session: &Session,
    taken: TakenFile,
    dataset: &Arc<Dataset>,
) -> Result<(Surveyed, Skips, Company), SyncError> {
    let TakenFile { file, content, checkpoint, company } = taken;
    let market = file.market.clone().unwrap_or_default();
    let place = match may_have_index(session, &file, dataset) && file.position.is_none() {
        true => Some(IndexPlace {
            generation: session.sink.ledger.generation(&dataset.table, &market).await?,
            indexes: session.indexes.clone(),
            market,
        }),
        false => None,
    };
    let config = Arc::clone(&session.config);
    let dataset = Arc::clone(dataset);
    let file_market = file.market.clone();
    let shapes = session.sink.tables.shapes();
    let (content, survey, layout, skips) = blocking(move || {
        die_in_survey(file_market.as_deref());
        let encoding = checkpoint.as_ref().map(|checkpoint| checkpoint.survey.format.encoding);
        let mut text = read_text(content, &dataset, encoding, &config.limits, &config.state_dir)?;
        if let Some(Checkpoint { survey, digests, .. }) = checkpoint {
            text.content.expect_digests(digests)?;
            let layout = Layout::of_header(&survey.header, &dataset, &shapes);
            // A restored database may lack a column again; what it holds, only the file tells.
            if layout.reconcile(&dataset, &shapes).is_empty() {
                return Ok((text.content, survey, layout, Skips::default()));
            }
        }
        let (survey, layout, skips) = survey_with(&text, &dataset, &shapes, &config.limits, place.as_ref())?;
        // Of rejected rows, not all may be correct yet.
        if !layout.is_correction() {
            quarantine::check_rejects(&survey, config.rejects_max_percent)?;
            quarantine::check_rescued(&survey, &layout, &dataset, config.rescued_max_percent)?;
        }
        Ok((text.content, survey, layout, skips))
    })
    .await?;
    let layout = Arc::new(layout);
    Ok((Surveyed { file, content: Arc::new(content), survey, own_layout: Arc::clone(&layout), layout }, skips, company))
}

/// Where a test may have the process die of a file of one market, as an argument names it.
fn die_in_survey(market: Option<&str>) {
    let is_deadly = |named: Option<String>| named.as_deref() == market;
    if cfg!(feature = "failpoints") && fail::eval("during_survey", is_deadly) == Some(true) {
        // After so much work that it counts.
        std::thread::sleep(3 * attempts::QUICK_MAX);
        std::process::abort();
    }
}

/// How a file's rows are written.
pub(crate) fn header_of(surveyed: &Surveyed) -> Header {
    let (delimiter, quote) = match surveyed.survey.format.rows {
        RowFormat::Csv(dialect) => (Some(char::from(dialect.delimiter)), char::from(dialect.quote)),
        RowFormat::Json => (None, '"'),
    };
    Header { columns: surveyed.survey.header.clone(), delimiter, quote }
}
