//! Survey: the first look at every row of a file. It decides whether the file can be taken at all,
//! which records' rows stand apart, and what kinds of values undeclared columns hold.

mod tally;

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::{Dataset, OnTypeChange};
use crate::feed::decimals::{NumberReadings, Observer, settle};
use crate::feed::layout::{Layout, LayoutColumn, Role, Shapes};
use crate::feed::row_format::{Dialect, RowFormat};
use crate::source::format::{Format, find_row_format, is_document};
use crate::source::repeated_keys::check_repeated;
use crate::source::rows::csv::CsvRows;
use crate::source::rows::fits::Fits;
use crate::source::rows::header::{HEADER_ROWS_MAX, read_header};
use crate::source::rows::json::JsonRows;
use crate::source::rows::{Fault, Rows};
use crate::source::seen_keys::Scattered;
use crate::source::survey::tally::Tally;
use crate::source::text::Text;
use crate::source::text::content::{Content, Window};
use crate::source::unchanged::skips::{Candidates, IndexPlace, Skips};
use crate::source::wrapper::check_wrapper;
use entity::Kind;
use serde::{Deserialize, Serialize};

/// Rows at fault that a refusal names: enough to see whether all have the same fault.
const FIRST_FAULTS_MAX: usize = 3;

/// What the first look found; kept in the checkpoint so that a resumed file is not looked at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// How the file is written.
    pub format: Format,
    /// Names of the columns in the file.
    pub header: Vec<String>,
    /// Rows after the header.
    pub rows_read: u64,
    /// Rows that cannot be loaded, with the other rows of their records.
    pub rows_rejected: u64,
    /// The rejects that may belong to any record, because their key cannot be read.
    pub rows_of_unknown_records: u64,
    /// Hashes of the keys whose rows stand apart; `None` when there are too many to list.
    pub scattered: Option<Vec<u64>>,
    /// Passes that gather the records whose rows stand apart.
    pub gather_passes: u32,
    /// How its numbers are read.
    pub numbers: NumberReadings,
    /// The first rows at fault, for the reason of a refusal.
    #[serde(skip)]
    pub first_faults: Vec<FaultyRow>,
    /// How well values fit their columns, for the same.
    #[serde(skip)]
    pub fits: Fits,
    /// Whether a row does not fit as it stands.
    #[serde(skip)]
    pub has_odd_rows: bool,
    /// Whether what becomes of those rows may be something else once it is known how numbers are
    /// read.
    #[serde(skip)]
    pub are_odd_rows_open: bool,
}

/// A row that cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyRow {
    /// 1 is the first row after the header.
    pub number: u64,
    /// Why, and in which column.
    pub fault: Fault,
}

impl Survey {
    /// The keys whose rows stand apart.
    pub fn scattered(&self) -> Scattered {
        match &self.scattered {
            Some(hashes) => Scattered::Keys(hashes.iter().copied().collect()),
            None => Scattered::All,
        }
    }
}

/// Looks at every row.
///
/// # Errors
///
/// [`SyncError::Damaged`] when the file's structure is damaged, its header has no key, or a bound
/// is exceeded.
pub fn survey(
    text: &Text,
    dataset: &Dataset,
    shapes: &Shapes,
    limits: &Limits,
) -> Result<(Survey, Layout), SyncError> {
    survey_with(text, dataset, shapes, limits, None).map(|(survey, layout, _)| (survey, layout))
}

/// Looks at every row, and finds those that an index of the last export knows.
///
/// # Errors
///
/// As [`survey`].
pub fn survey_with(
    text: &Text,
    dataset: &Dataset,
    shapes: &Shapes,
    limits: &Limits,
    place: Option<&IndexPlace>,
) -> Result<(Survey, Layout, Skips), SyncError> {
    let first = look(text, dataset, shapes, limits, place, None, None)?;
    let (survey, layout, _) = &first;
    let is_settled = |column: &LayoutColumn| {
        dataset.number_rules(&column.name).decimals == column.rules.decimals
    };
    let has_strict = layout.all().any(LayoutColumn::is_strict);
    let has_new_readings = !layout.all().all(is_settled);
    // Rows and kinds of columns explain each other: rows with the right number of cells show the
    // kinds, and the kinds decide about the other rows.
    let has_new_kinds = layout.all().any(|column| is_new(column, dataset, shapes));
    let are_rows_open = has_strict || (survey.has_odd_rows && survey.are_odd_rows_open);
    let is_too_early =
        (has_new_readings && are_rows_open) || (survey.has_odd_rows && has_new_kinds);
    if !is_too_early {
        let may_have_many = |(index, column): (usize, &LayoutColumn)| {
            column.holds_numbers()
                && column.on_type_change == Some(OnTypeChange::Rescue)
                && (column.has_two_currencies
                    || !is_settled(column)
                        && survey.fits.may_have_many(index, column.rules.decimals))
        };
        // With an index, they were counted when the readings were known.
        let is_counted = first.2.known.is_some();
        if is_counted || !layout.all().enumerate().any(may_have_many) {
            return Ok(first);
        }
        // The values that fit were counted under readings that turned out to be wrong, or before
        // the file had shown a second currency.
        let (mut survey, layout, skips) = first;
        survey.fits = count_fits(&text.content, survey.format.rows, &layout, dataset, limits)?;
        return Ok((survey, layout, skips));
    }
    let found =
        Found { numbers: survey.numbers.clone(), kinds: kinds(layout), asks_odd_rows: true };
    let second = look(text, dataset, shapes, limits, place, Some(layout), Some(&found))?;
    let (survey, layout, _) = &second;
    if !survey.has_odd_rows || kinds(layout) == found.kinds {
        return Ok(second);
    }
    // The other rows have said the kind of a column in which no row that fits has a value.
    let found = Found { kinds: kinds(layout), asks_odd_rows: false, ..found };
    look(text, dataset, shapes, limits, place, Some(layout), Some(&found))
}

/// What an earlier look has shown.
struct Found {
    /// How numbers are read.
    numbers: NumberReadings,
    /// What each column holds.
    kinds: Vec<Option<Kind>>,
    /// Whether rows that do not fit by their count are asked for the kinds of columns that no other
    /// row says.
    asks_odd_rows: bool,
}

impl Found {
    fn apply(&self, layout: &mut Layout) {
        for (column, kind) in layout.all_mut().zip(&self.kinds) {
            column.kind = *kind;
        }
        self.numbers.apply(layout);
    }
}

fn kinds(layout: &Layout) -> Vec<Option<Kind>> {
    layout.all().map(|column| column.kind).collect()
}

/// Whether the file's values decide what a column holds.
fn is_new(column: &LayoutColumn, dataset: &Dataset, shapes: &Shapes) -> bool {
    let Role::Column(owner) = column.role else { return false };
    let stored = shapes.get(dataset.table_of(owner)).and_then(|shape| shape.column(&column.name));
    column.kind.is_none() || stored.is_none_or(|stored| Some(stored.kind) != column.kind)
}

/// Looks at every row once. An earlier look may have shown the columns of the file, and what they
/// hold.
fn look(
    text: &Text,
    dataset: &Dataset,
    shapes: &Shapes,
    limits: &Limits,
    place: Option<&IndexPlace>,
    known: Option<&Layout>,
    found: Option<&Found>,
) -> Result<(Survey, Layout, Skips), SyncError> {
    let content = &text.content;
    let rows = find_row_format(content, dataset, limits)?;
    let format = Format { compression: text.compression, encoding: text.encoding, rows };
    let mut window = Window::at(content, 0)?;
    match rows {
        RowFormat::Json => {
            let mut layout =
                known.map_or_else(Layout::empty, |known| Layout::again(known, dataset, shapes));
            if let Some(found) = found {
                found.numbers.apply(&mut layout);
            }
            let rows = JsonRows::surveying(window, dataset, layout, shapes, limits);
            let mut rows = Rows::Json(rows.counting_fits());
            let mut tally = Tally::of(&mut rows, content, limits, None)?;
            let Rows::Json(mut rows) = rows else { unreachable!("made as JSON above") };
            if rows.is_blank() && is_document(content.path()) {
                return Err(SyncError::damaged(
                    "it is empty, which is no JSON; an export without rows is []",
                ));
            }
            let fits = rows.take_fits();
            let (mut layout, observers) = rows.into_layout();
            // Members come as they come. What was taken for the key, or for another declared
            // column, before all names were known says nothing of the file.
            if known.is_none() && layout.came_too_early(dataset) {
                return look(text, dataset, shapes, limits, place, Some(&layout), found);
            }
            tally.numbers = settled(&mut layout, &observers, None, dataset, found);
            check_wrapper(content, dataset, tally.rows_read)?;
            if tally.rows_read > 0 {
                check_layout(&layout, dataset, limits, format.rows)?;
            }
            let again = || -> Result<Rows<'_>, SyncError> {
                let window = Window::at(content, 0)?;
                Ok(Rows::Json(JsonRows::resuming(window, dataset, &layout, limits, 0)))
            };
            tally.look_again(again, limits)?;
            if tally.may_have_repeated_keys() {
                check_repeated(&mut again()?, &tally.seen, format.rows, dataset, &layout)?;
            }
            let mut survey = tally.finish(format, &layout, content, limits);
            survey.fits = fits.unwrap_or_default();
            Ok((survey, layout, Skips::default()))
        }
        RowFormat::Csv(dialect) => {
            let header = read_header(&mut window, dialect, dataset)?;
            check_columns(header.len(), limits)?;
            let mut layout = Layout::of_header(&header, dataset, shapes);
            if let Some(found) = found {
                found.apply(&mut layout);
            }
            check_layout(&layout, dataset, limits, format.rows)?;
            // If a row takes values from rows above, its own bytes do not identify it.
            let place = place.filter(|_| dataset.fill_down.is_empty());
            let known = place.and_then(|place| place.load(dataset, shapes, &header, format.rows));
            let rows = CsvRows::new(window, dialect, &layout, dataset, limits.field_bytes_max, 0);
            let rows = match found {
                None => rows.observing(),
                Some(Found { asks_odd_rows: true, .. }) => rows.observing_odd_rows(),
                Some(_) => rows,
            };
            // The values of records in an index were counted when it was made; counting them again
            // would cost more than the rest of the look.
            let rows = if known.is_none() { rows.counting_fits() } else { rows };
            let mut rows = Rows::Csv(rows);
            let mut candidates = known.as_ref().map(|(_, index)| Candidates::new(index));
            let mut tally = Tally::of(&mut rows, content, limits, candidates.as_mut())?;
            let Rows::Csv(mut rows) = rows else { unreachable!("made as CSV above") };
            tally.has_odd_rows = rows.has_odd_rows();
            let (fits, asked) = (rows.take_fits(), rows.take_asked());
            let observers = rows.into_observers();
            let again = || Ok(Rows::Csv(csv_rows(content, dialect, &layout, dataset, limits)?));
            tally.look_again(again, limits)?;
            if tally.may_have_repeated_keys() {
                check_repeated(&mut again()?, &tally.seen, format.rows, dataset, &layout)?;
            }
            tally.numbers =
                settled(&mut layout, &observers, Some(dialect.delimiter), dataset, found);
            let mut survey = tally.finish(format, &layout, content, limits);
            survey.fits = fits.unwrap_or_default();
            survey.are_odd_rows_open = asked.differs_in(&layout);
            let runs = match (candidates, &known) {
                _ if survey.numbers.is_of_file => Vec::new(),
                // If the index cannot be read, its records are read the long way.
                (Some(candidates), Some((_, index))) => {
                    candidates.runs(index, &survey.scattered()).unwrap_or_default()
                }
                _ => Vec::new(),
            };
            let rows_known: u64 = runs.iter().map(|run| run.counts.rows).sum();
            if known.is_some() && 2 * rows_known < survey.rows_read {
                survey.fits = count_fits(content, format.rows, &layout, dataset, limits)?;
            }
            Ok((survey, layout, Skips { runs, known }))
        }
    }
}

/// The columns of a header, or of the first objects: one of them may lack a member.
///
/// # Errors
///
/// When the file cannot be read, or is damaged so early.
pub fn first_columns(
    text: &Text,
    dataset: &Dataset,
    limits: &Limits,
) -> Result<Vec<String>, SyncError> {
    let mut window = Window::at(&text.content, 0)?;
    let shapes = Shapes::new();
    let layout = match find_row_format(&text.content, dataset, limits)? {
        RowFormat::Json => {
            let mut rows = JsonRows::surveying(window, dataset, Layout::empty(), &shapes, limits);
            for _ in 0..HEADER_ROWS_MAX {
                if rows.next_row()?.is_none() {
                    break;
                }
            }
            rows.into_layout().0
        }
        RowFormat::Csv(dialect) => {
            Layout::of_header(&read_header(&mut window, dialect, dataset)?, dataset, &shapes)
        }
    };
    Ok(layout.columns.into_iter().map(|column| column.name).collect())
}

/// The rows of a file from its first one on.
fn csv_rows<'a>(
    content: &'a Content,
    dialect: Dialect,
    layout: &'a Layout,
    dataset: &'a Dataset,
    limits: &Limits,
) -> Result<CsvRows<'a>, SyncError> {
    let mut window = Window::at(content, 0)?;
    read_header(&mut window, dialect, dataset)?;
    Ok(CsvRows::new(window, dialect, layout, dataset, limits.field_bytes_max, 0))
}

/// How many values of a file fit the columns of a layout.
fn count_fits(
    content: &Content,
    format: RowFormat,
    layout: &Layout,
    dataset: &Dataset,
    limits: &Limits,
) -> Result<Fits, SyncError> {
    let fits = match format {
        RowFormat::Csv(dialect) => {
            let mut rows = csv_rows(content, dialect, layout, dataset, limits)?.counting_fits();
            while rows.next_row()?.is_some() {}
            rows.take_fits()
        }
        RowFormat::Json => {
            let rows = JsonRows::resuming(Window::at(content, 0)?, dataset, layout, limits, 0);
            let mut rows = rows.counting_fits();
            while rows.next_row()?.is_some() {}
            rows.take_fits()
        }
    };
    Ok(fits.unwrap_or_default())
}

/// How the file's numbers are read, and what its columns hold.
fn settled(
    layout: &mut Layout,
    observers: &[Observer],
    delimiter: Option<u8>,
    dataset: &Dataset,
    found: Option<&Found>,
) -> NumberReadings {
    let readings = settle(layout, observers, delimiter, dataset);
    match found {
        None => readings,
        // The first look has seen what is a proof.
        Some(found) => found.numbers.clone(),
    }
}

fn check_columns(columns: usize, limits: &Limits) -> Result<(), SyncError> {
    if columns > limits.columns_max {
        let allowed = limits.columns_max;
        return Err(SyncError::damaged(format!(
            "it has {columns} columns where columns_max allows {allowed}"
        )));
    }
    Ok(())
}

/// Whether it has every column of the key, where the dataset has one.
fn check_layout(
    layout: &Layout,
    dataset: &Dataset,
    limits: &Limits,
    format: RowFormat,
) -> Result<(), SyncError> {
    check_columns(layout.columns.len(), limits)?;
    let own: Vec<String> = layout.all().map(|column| column.name.clone()).collect();
    let Some(lacking) = dataset.key.lacking_in(&own).filter(|_| !dataset.is_keyless()) else {
        return Ok(());
    };
    let is = if dataset.key.names().len() > 1 { "part of the key" } else { "the key" };
    let names: Vec<&str> =
        layout.columns.iter().map(|column| column.raw_name.as_str()).take(10).collect();
    let (dataset, names) = (&dataset.name, names.join(", "));
    let hint = match format {
        RowFormat::Json => {
            "; if the records are an array inside of the document, say `json = { root = \"…\" }` of the dataset"
        }
        RowFormat::Csv(_) => "",
    };
    Err(SyncError::damaged(format!(
        "no column is `{lacking}`, {is} of {dataset}; the columns are {names}{hint}"
    )))
}

#[cfg(test)]
mod tests;
