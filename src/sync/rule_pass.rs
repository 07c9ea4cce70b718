//! Rule pass: reads a file once more before its first commit, where a rule may reject its rows or
//! refuse it. What rules reject counts towards `rejects_max_percent`, so it must be known before.

use crate::chunk::Position;
use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::source::reader::Reader;
use crate::source::seen_keys::{SeenKeys, key_hash};
use crate::source::survey::Survey;
use crate::source::text::content::Content;
use crate::transform::faults::Faults;
use crate::transform::find_faults;
use crate::transform::rules::{FirstRecord, Repeats, Source, unique_values};
use std::collections::BTreeMap;

/// Values of unique columns that may stand in several records: beyond that the column is not
/// unique, and a list of them would outgrow memory.
const REPEATED_MAX: usize = 100_000;

/// Bytes of such values, for the same reason.
const REPEATED_BYTES_MAX: usize = 32 << 20;

/// What the rules say of a whole file.
#[derive(Debug, Default)]
pub(crate) struct RulePass {
    /// What is broken.
    pub faults: Faults,
    /// Values of unique columns that several records have.
    pub repeats: Repeats,
}

/// A surveyed file.
#[derive(Clone, Copy)]
pub(crate) struct SurveyedFile<'a> {
    /// Its text.
    pub content: &'a Content,
    /// Its columns.
    pub layout: &'a Layout,
    /// Its survey.
    pub survey: &'a Survey,
    /// Its dataset.
    pub dataset: &'a Dataset,
    /// Sizes of chunks and more.
    pub limits: &'a Limits,
}

impl RulePass {
    /// Asks the rules of every record.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] if too many values of a unique column stand in several records, and
    /// when the file cannot be read.
    pub fn over(file: SurveyedFile<'_>) -> Result<Self, SyncError> {
        let mut seen: BTreeMap<String, SeenKeys> = BTreeMap::new();
        let mut faults = Faults::default();
        let observe = |source: Source<'_>, _: &mut Repeats| {
            each_record_once(source, |column, _, _, value| {
                let filter_bytes = file.content.size_bytes();
                let seen =
                    seen.entry(column.to_owned()).or_insert_with(|| SeenKeys::new(filter_bytes));
                seen.observe_run(key_hash(value));
            });
            Ok(())
        };
        file.each_chunk(&mut Repeats::default(), &mut faults, observe)?;
        seen.retain(|_, seen| seen.has_scattered());
        if seen.is_empty() {
            return Ok(Self { faults, repeats: Repeats::default() });
        }
        Self::with_repeats(file, &seen)
    }

    /// Asks them again where values may stand in several records, and notes which have them first.
    fn with_repeats(
        file: SurveyedFile<'_>,
        seen: &BTreeMap<String, SeenKeys>,
    ) -> Result<Self, SyncError> {
        let mut pass = Self::default();
        let (mut values, mut bytes) = (0, 0);
        let observe = |source: Source<'_>, repeats: &mut Repeats| {
            let mut error = None;
            each_record_once(source, |column, record, row, value| {
                if error.is_some()
                    || !seen.get(column).is_some_and(|seen| seen.is_scattered(key_hash(value)))
                {
                    return;
                }
                let firsts = repeats.by_column.entry(column.to_owned()).or_default();
                if firsts.contains_key(value) {
                    return;
                }
                let key = source.chunk.keys[record].clone();
                (values, bytes) = (values + 1, bytes + value.len() + key.len());
                if values > REPEATED_MAX || bytes > REPEATED_BYTES_MAX {
                    error = Some(too_many(column, file.dataset));
                }
                firsts
                    .insert(value.to_owned(), FirstRecord { key, row: source.chunk.numbers[row] });
            });
            error.map_or(Ok(()), Err)
        };
        file.each_chunk(&mut pass.repeats, &mut pass.faults, observe)?;
        Ok(pass)
    }
}

fn too_many(column: &str, dataset: &Dataset) -> SyncError {
    SyncError::damaged(format!(
        "more than {REPEATED_MAX} values of column {column} seem to stand in several records, and it is declared unique: \
         correct [datasets.{}.columns] {column}, or the file",
        dataset.name
    ))
}

/// Calls `found` with each value of a unique column once a record: lines of one record may have the
/// same.
fn each_record_once(source: Source<'_>, mut found: impl FnMut(&str, usize, usize, &str)) {
    let mut of_record: Option<(String, usize, Vec<String>)> = None;
    unique_values(source, |column, record, row, value| {
        match &mut of_record {
            Some((of_column, of, values)) if of_column == column && *of == record => {
                if values.iter().any(|known| known == value) {
                    return;
                }
                values.push(value.to_owned());
            }
            other => *other = Some((column.to_owned(), record, vec![value.to_owned()])),
        }
        found(column, record, row, value);
    });
}

impl SurveyedFile<'_> {
    /// Adds up the faults of every chunk; `observe` sees the values before the rules are asked.
    fn each_chunk(
        self,
        repeats: &mut Repeats,
        faults: &mut Faults,
        mut observe: impl FnMut(Source<'_>, &mut Repeats) -> Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        let Self { content, layout, survey, dataset, limits } = self;
        let mut reader = Reader::new(content, layout, dataset, limits, survey, Position::START)?;
        while let Some(chunk) = reader.next_chunk()? {
            let mut observed = Ok(());
            *faults += find_faults(
                &chunk,
                survey.format.rows,
                layout,
                dataset,
                repeats,
                |source, repeats| {
                    observed = observe(source, repeats);
                },
            );
            observed?;
        }
        Ok(())
    }
}
