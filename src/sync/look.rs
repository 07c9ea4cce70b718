//! Look: reads a file once before anything is written, and decides whether it is refused.

use crate::config::Config;
use crate::error::SyncError;
use crate::feed::correction::Header;
use crate::feed::dataset::{Dataset, FeedKind};
use crate::feed::layout::Layout;
use crate::feed::number_form::NumberForm;
use crate::feed::row_format::RowFormat;
use crate::process::clock::now_ms;
use crate::sink::ledger::attempts;
use crate::sink::ledger::attempts::Company;
use crate::sink::ledger::files::FileRecord;
use crate::source::find::path_text::path_text;
use crate::source::find::scan::SourceFile;
use crate::source::find::zipped::unpacked_path;
use crate::source::survey::{Survey, survey_with};
use crate::source::text::content::Content;
use crate::source::text::read_text;
use crate::source::unchanged::record_index::{Origin, RecordIndexWriter};
use crate::source::unchanged::skips::{IndexPlace, Skips, origin};
use crate::sync::checkpoint::Checkpoint;
use crate::sync::quarantine;
use crate::sync::rule_pass::{RulePass, SurveyedFile};
use crate::sync::session::{Session, blocking};
use crate::sync::take::TakenFile;
use std::path::Path;
use std::sync::Arc;

/// A file after its survey.
pub(crate) struct Surveyed {
    /// Its line in the ledger.
    pub file: FileRecord,
    /// Its text.
    pub content: Arc<Content>,
    /// Format, header, counts and scattered records, as the first reading found them.
    pub survey: Survey,
    /// Its columns, plus those that a corrected copy takes from the file that it corrects.
    pub layout: Arc<Layout>,
    /// Its own columns only.
    pub own_layout: Arc<Layout>,
    /// What its rules say of it, where they were asked before the first commit.
    pub rule_pass: Option<Arc<RulePass>>,
    /// The other datasets of its table, where they have rows of its market: those are none of this
    /// one's.
    pub others: Vec<String>,
    /// Whether a record index may tell of it.
    may_have_index: bool,
}

impl Surveyed {
    /// Whether this file leaves a record index for the next export.
    pub fn leaves_index(&self, session: &Session) -> bool {
        self.may_have_index
            && !self.survey.numbers.is_of_file
            && matches!(self.survey.format.rows, RowFormat::Csv(_))
            && self.content.size_bytes() >= session.config.limits.record_index_bytes_min
    }

    /// Tells the ledger what the file is the first to prove of how numbers are written. Before its
    /// rows: should they be cut off, they are read again as they were read now.
    pub async fn record_number_forms(
        &self,
        session: &Session,
        dataset: &Dataset,
    ) -> Result<(), SyncError> {
        let market = self.file.market.as_deref().unwrap_or_default();
        let proved: Vec<_> = (self.survey.numbers.proved.iter())
            .map(|(column, form)| {
                (column.clone(), NumberForm { file_id: self.file.id, ..form.clone() })
            })
            .collect();
        session.sink.ledger.record_number_forms(&dataset.name, market, &proved, now_ms()).await
    }

    /// All inputs that decide how the rows of this file are stored.
    pub fn origin(&self, session: &Session, dataset: &Dataset, generation: &str) -> Origin {
        origin(
            dataset,
            &session.sink.tables.shapes(),
            &self.survey.header,
            self.survey.format.rows,
            generation,
        )
    }

    /// Completes the index after the file's last change. No other file writes to its table and
    /// market until then.
    pub async fn leave_index(
        &self,
        session: &Session,
        dataset: &Dataset,
        index: RecordIndexWriter,
    ) -> Result<(), SyncError> {
        let market = self.file.market.as_deref().unwrap_or_default();
        let Some(generation) = session.sink.ledger.generation(&dataset.table, market).await? else {
            return Ok(());
        };
        let origin = self.origin(session, dataset, &generation);
        blocking(move || {
            index.finish(&origin);
            Ok(())
        })
        .await
    }
}

/// The other datasets that write to a file's table, where they have rows of its market. Files of
/// one table and market go one after the other, so there are none before the file ends that were
/// not there before.
async fn others_of(
    session: &Session,
    file: &FileRecord,
    dataset: &Dataset,
) -> Result<Vec<String>, SyncError> {
    let others = session.config.others_of_table(dataset);
    let market = file.market.as_deref().unwrap_or_default();
    let have_rows = !others.is_empty() && session.sink.ledger.has_files_of(&others, market).await?;
    Ok(if have_rows { others } else { Vec::new() })
}

/// Whether a file may use or leave a record index: it tells of the rows of its market only where no
/// other dataset has some there.
fn may_have_index(file: &FileRecord, dataset: &Dataset, others: &[String]) -> bool {
    dataset.kind == FeedKind::Full
        && file.corrects.is_none()
        && !dataset.is_keyless()
        && !dataset.is_made
        // Whether a value is unique depends on all other records.
        && !dataset.has_refusing_unique()
        && others.is_empty()
}

/// Surveys every row, or takes the survey from the checkpoint, and decides whether the file is
/// refused.
pub(crate) async fn look(
    session: &Session,
    taken: TakenFile,
    dataset: &Arc<Dataset>,
) -> Result<(Surveyed, Skips, Company), SyncError> {
    let TakenFile { file, content, checkpoint, company } = taken;
    let market = file.market.clone().unwrap_or_default();
    let others = others_of(session, &file, dataset).await?;
    let may_have_index = may_have_index(&file, dataset, &others);
    let place = match may_have_index && file.position.is_none() {
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
    let is_resumed = file.position.is_some();
    // Who resumes a file has not counted what is written already.
    let asks_again = is_resumed && (dataset.has_rules() || file.counts.rescued > 0);
    let (content, survey, layout, skips, rule_pass) = blocking(move || {
        die_in_survey(file_market.as_deref());
        let encoding = checkpoint.as_ref().map(|checkpoint| checkpoint.survey.format.encoding);
        let mut text = read_text(content, &dataset, encoding, &config.limits, &config.state_dir)?;
        if let Some(Checkpoint { survey, digests, .. }) = checkpoint {
            text.content.expect_digests(digests)?;
            let mut layout = match survey.format.rows {
                RowFormat::Json => Layout::of_members(&survey.header, &dataset, &shapes),
                RowFormat::Csv(_) => Layout::of_header(&survey.header, &dataset, &shapes),
            };
            survey.numbers.apply(&mut layout);
            // A restored database may lack a column again; then the file must be surveyed again to
            // learn its kind.
            if layout.reconcile(&dataset, &shapes).is_empty() {
                let pass =
                    rule_pass(&text.content, &layout, &survey, &dataset, &config, asks_again)?;
                return Ok((text.content, survey, layout, Skips::default(), pass));
            }
        }
        let (survey, layout, skips) =
            survey_with(&text, &dataset, &shapes, &config.limits, place.as_ref())?;
        let pass = rule_pass(&text.content, &layout, &survey, &dataset, &config, asks_again)?;
        // A corrected copy may still contain many rejects; it is never refused for their share.
        if !layout.is_correction() {
            quarantine::check_decimals(
                &survey,
                &dataset,
                file_market.as_deref().unwrap_or_default(),
            )?;
            let faults = pass.as_ref().map(|pass| &pass.faults);
            quarantine::check_rules(faults, &dataset)?;
            quarantine::check_rejects(&survey, faults, &dataset, config.rejects_max_percent)?;
            quarantine::check_rescued(&survey, &layout, &dataset, config.rescued_max_percent)?;
        }
        Ok((text.content, survey, layout, skips, pass))
    })
    .await?;
    let layout = Arc::new(layout);
    let rule_pass = rule_pass.map(Arc::new);
    let (content, own_layout) = (Arc::new(content), Arc::clone(&layout));
    let surveyed =
        Surveyed { file, content, survey, own_layout, layout, rule_pass, others, may_have_index };
    Ok((surveyed, skips, company))
}

/// Asks the rules before the first commit, where they may refuse anything, or where what was
/// counted is lost. A corrected copy is not refused, and its rows may be part of records of another
/// file.
fn rule_pass(
    content: &Content,
    layout: &Layout,
    survey: &Survey,
    dataset: &Dataset,
    config: &Config,
    asks_again: bool,
) -> Result<Option<RulePass>, SyncError> {
    if layout.is_correction() || !(asks_again || dataset.has_refusing_rules()) {
        return Ok(None);
    }
    RulePass::over(SurveyedFile { content, layout, survey, dataset, limits: &config.limits })
        .map(Some)
}

/// Failpoint: ends the process in the survey of a file of the market that the test names.
fn die_in_survey(market: Option<&str>) {
    let is_deadly = |named: Option<String>| named.as_deref() == market;
    if cfg!(feature = "failpoints") && fail::eval("during_survey", is_deadly) == Some(true) {
        // Late enough to count as a slow death.
        std::thread::sleep(3 * attempts::QUICK_MAX);
        std::process::abort();
    }
}

/// Column names, CSV dialect and folder, which the ledger keeps for the export of rejects.
pub(crate) fn header_of(surveyed: &Surveyed, source_file: &SourceFile) -> Header {
    let (delimiter, quote, is_typed) = match surveyed.survey.format.rows {
        RowFormat::Csv(dialect) => {
            let (delimiter, quote) = (char::from(dialect.delimiter), char::from(dialect.quote));
            (Some(delimiter), quote, dialect.is_typed())
        }
        RowFormat::Json => (None, '"', false),
    };
    let lies_at = unpacked_path(&source_file.root, &source_file.path);
    let below = lies_at.strip_prefix(&source_file.root).ok();
    let folder = below.and_then(Path::parent).map(path_text);
    Header { columns: surveyed.survey.header.clone(), delimiter, quote, is_typed, folder }
}
