//! Quarantine: decides, before the first commit, whether a file is refused as a whole.
//!
//! The survey itself finds a damaged structure. This module decides by the share of rejects and by
//! how numbers are written.

use crate::config::{Config, Limits};
use crate::error::SyncError;
use crate::feed::correction::place_and_reason;
use crate::feed::dataset::Dataset;
use crate::feed::decimals::Contradiction;
use crate::feed::declaration::OnViolation;
use crate::feed::layout::Layout;
use crate::feed::rules::{BrokenRule, FirstRow};
use crate::source::survey::Survey;
use crate::transform::faults::Faults;
use crate::values::cell::hex;
use crate::values::number::DecimalSign;
use entity::Kind;
use sha2::{Digest, Sha256};

/// Stored instead of the rules digest of a file that the database refused: only another try can
/// tell whether it still does.
pub const BY_DATABASE: &str = "database";

/// Maximum characters of a row's reason: three reasons must fit in a line.
const REASON_CHARS_MAX: usize = 160;

/// Refuses a file whose share of rejected rows is too large; rows that rules reject count too.
///
/// # Errors
///
/// [`SyncError::Damaged`] with the share and the limit.
pub fn check_rejects(
    survey: &Survey,
    faults: Option<&Faults>,
    dataset: &Dataset,
    rejects_max_percent: f64,
) -> Result<(), SyncError> {
    let percent_max = dataset.rejects_max_percent.unwrap_or(rejects_max_percent);
    let rejected = survey.rows_rejected + faults.map_or(0, |faults| faults.rows_rejected);
    let percent = 100.0 * rejected as f64 / survey.rows_read.max(1) as f64;
    if percent <= percent_max {
        return Ok(());
    }
    let of_rows = survey.first_faults.iter();
    let of_rows = of_rows.map(|row| {
        place_and_reason(row.number, row.fault.column.as_deref(), &beginning(&row.fault.reason))
    });
    let of_rules = broken(faults, dataset, OnViolation::Reject).map(|rule| told(&rule));
    Err(SyncError::damaged(format!(
        "{rejected} of {} rows cannot be loaded, which is {percent:.1} % where rejects_max_percent allows {percent_max}; \
         the first at fault: {}",
        survey.rows_read,
        of_rows.chain(of_rules).collect::<Vec<_>>().join("; ")
    )))
}

/// Refuses a file that breaks a rule with `on_violation = "quarantine"`.
///
/// # Errors
///
/// [`SyncError::Damaged`] with column, rule, and the first rows and values.
pub fn check_rules(faults: Option<&Faults>, dataset: &Dataset) -> Result<(), SyncError> {
    let broken: Vec<String> =
        broken(faults, dataset, OnViolation::Quarantine).map(|rule| told(&rule)).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let name = &dataset.name;
    Err(SyncError::damaged(format!(
        "it breaks a rule of [datasets.{name}.columns] with on_violation = \"quarantine\": {}",
        broken.join("; ")
    )))
}

/// Broken rules with this consequence.
fn broken(
    faults: Option<&Faults>,
    dataset: &Dataset,
    on_violation: OnViolation,
) -> impl Iterator<Item = BrokenRule> {
    let all = faults.map(|faults| faults.by_rule(dataset)).unwrap_or_default();
    all.into_iter().filter(move |rule| rule.violations > 0 && rule.on_violation == on_violation)
}

/// A broken rule, for people.
fn told(broken: &BrokenRule) -> String {
    let first: Vec<String> = broken.first.iter().map(FirstRow::text).collect();
    let (column, rule, number) = (&broken.column, broken.rule.name(), broken.violations);
    format!("{column}, {rule}: {number} times, the first in {}", first.join(", "))
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
        "{} of {} values in column {} do not fit its type, {},{} which is {:.1} % where rescued_max_percent allows \
         {percent_max}: {}",
        fits.misfits,
        fits.values,
        column.name,
        column.kind.map_or("", Kind::name),
        if fits.is_of_currency { " or contradict in currency," } else { "" },
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
    let Contradiction { counts, expected, proved_by, example: (column, value), taken_by } =
        contradiction;
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
    // Other columns of the dataset may well have the sign that is expected.
    let column_alone = taken_by.as_ref().map(|name| {
        let (dataset, sign) = (&dataset.name, found.as_str());
        format!("[datasets.{dataset}.columns] \"{name}\" = {{ decimal = \"{sign}\" }} of this column, or ")
    });
    let column_alone = column_alone.unwrap_or_default();
    let market = match market {
        "" => String::new(),
        market => format!(
            ", or for all files of the market by [markets.{market}] decimal = \"{}\"",
            found.as_str()
        ),
    };
    Err(SyncError::damaged(format!(
        "{against} of its values have a {} before decimals (`{column}`: `{}`) where a {} is expected, {by}: if the file is \
         right, declare {column_alone}[datasets.{}] decimal = \"{}\"{market}; \"auto\" leaves it to each file",
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
    let (of_records, columns) =
        ((record_rows_max, record_bytes_max), (columns_max, table_columns_max));
    let bytes = (file_bytes_max, decompressed_bytes_max);
    let limits = (bytes, row_bytes_max, field_bytes_max, of_records, columns);
    let shares = (config.rejects_max_percent, config.rescued_max_percent);
    let text = serde_json::to_string(&(fingerprint, shares, limits)).expect("text and numbers");
    hex(&Sha256::digest(text.as_bytes()))
}
