//! Quarantine: decides, before the first commit, whether a file is refused as a whole.
//!
//! The survey itself finds a damaged structure. This module decides by the share of rejects and by
//! how numbers are written.

use crate::config::{Config, Limits};
use crate::error::SyncError;
use crate::feed::correction::place_and_reason;
use crate::feed::dataset::Dataset;
use crate::feed::decimals::Contradiction;
use crate::feed::layout::Layout;
use crate::source::survey::Survey;
use crate::values::cell::hex;
use crate::values::number::DecimalSign;
use entity::Kind;
use sha2::{Digest, Sha256};

/// Stored instead of the rules digest of a file that the database refused: only another try can
/// tell whether it still does.
pub const BY_DATABASE: &str = "database";

/// Maximum characters of a row's reason: three reasons must fit in a line.
const REASON_CHARS_MAX: usize = 160;

/// Refuses a file whose share of rejected rows is too large.
///
/// # Errors
///
/// [`SyncError::Damaged`] with the share and the limit.
pub fn check_rejects(survey: &Survey, rejects_max_percent: f64) -> Result<(), SyncError> {
    let percent = 100.0 * survey.rows_rejected as f64 / survey.rows_read.max(1) as f64;
    if percent <= rejects_max_percent {
        return Ok(());
    }
    let faults = survey.first_faults.iter();
    let first: Vec<String> = faults
        .map(|row| place_and_reason(row.number, row.fault.column.as_deref(), &beginning(&row.fault.reason)))
        .collect();
    Err(SyncError::damaged(format!(
        "{} of {} rows cannot be loaded, which is {percent:.1} % where rejects_max_percent allows {rejects_max_percent}; \
         the first at fault: {}",
        survey.rows_rejected,
        survey.rows_read,
        first.join("; ")
    )))
}

/// Refuses a file most of whose values in a declared column do not fit it.
///
/// # Errors
///
/// [`SyncError::Damaged`] with the column, its share, the limit, and the first rows.
pub fn check_rescued(
    survey: &Survey,
    layout: &Layout,
    dataset: &Dataset,
    rescued_max_percent: f64,
) -> Result<(), SyncError> {
    let percent_max = dataset.rescued_max_percent.unwrap_or(rescued_max_percent);
    let Some(fits) = survey.fits.worst(percent_max, survey.rows_read) else { return Ok(()) };
    let column = &layout.columns[fits.index];
    let first = fits.first.iter().map(|(row, text)| format!("row {row} has `{}`", beginning(text)));
    Err(SyncError::damaged(format!(
        "{} of {} values in column {} do not fit its type, {}, which is {:.1} % where rescued_max_percent allows \
         {percent_max}: {}",
        fits.misfits,
        fits.values,
        column.name,
        column.kind.map_or("", Kind::name),
        fits.percent(),
        first.collect::<Vec<_>>().join("; ")
    )))
}

/// Refuses a file whose numbers are written differently than declared for its dataset, or than
/// earlier files proved.
///
/// # Errors
///
/// [`SyncError::Damaged`] with what to declare.
pub fn check_decimals(survey: &Survey, dataset: &Dataset, market: &str) -> Result<(), SyncError> {
    let Some(contradiction) = &survey.numbers.contradiction else { return Ok(()) };
    let Contradiction { counts, expected, proved_by, example: (column, value) } = contradiction;
    let [_, against] = counts;
    let found = expected.other();
    let by = match proved_by {
        Some(file_id) => format!("as file {file_id} of the dataset and market proved"),
        None => "as `decimal` says".to_owned(),
    };
    let name = |sign: DecimalSign| match sign {
        DecimalSign::Point => "point",
        DecimalSign::Comma => "comma",
    };
    let market = match market {
        "" => String::new(),
        market => format!(", or for all files of the market by [markets.{market}] decimal = \"{}\"", found.as_str()),
    };
    Err(SyncError::damaged(format!(
        "{against} of its values have a {} before decimals (`{column}`: `{}`) where a {} is expected, {by}: if the file is \
         right, declare [datasets.{}] decimal = \"{}\"{market}; \"auto\" leaves it to each file",
        name(found),
        beginning(value),
        name(*expected),
        dataset.name,
        found.as_str(),
    )))
}

/// Reasons may quote texts of any length.
fn beginning(reason: &str) -> String {
    match reason.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

/// Digest of what a refusal depends on: the dataset's rules and every limit that can refuse a file.
/// If it changes, the file is tried again.
pub fn rules(fingerprint: &str, config: &Config) -> String {
    let Limits {
        file_bytes_max,
        decompressed_bytes_max,
        row_bytes_max,
        field_bytes_max,
        record_rows_max,
        record_bytes_max,
        columns_max,
        table_columns_max,
        ..
    } = config.limits;
    let (of_records, columns) = ((record_rows_max, record_bytes_max), (columns_max, table_columns_max));
    let bytes = (file_bytes_max, decompressed_bytes_max);
    let limits = (bytes, row_bytes_max, field_bytes_max, of_records, columns);
    let shares = (config.rejects_max_percent, config.rescued_max_percent);
    let text = serde_json::to_string(&(fingerprint, shares, limits)).expect("text and numbers");
    hex(&Sha256::digest(text.as_bytes()))
}
