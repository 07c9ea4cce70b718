//! Workbook: the rows of one sheet of an Excel file (.xlsx), cell by cell, as typed rows.
//!
//! A sheet says where each cell stands and what it is: text, number, moment, truth value, error.
//! Of a formula, the value counts that Excel had computed last. Rows and columns that are hidden
//! are read like others; of merged cells, the first one has the value.

pub mod package;

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::layout::declared_name;
use crate::process::progress::moved;
use crate::source::rows::header::HEADER_ROWS_MAX;
use crate::source::text::content::Content;
use crate::source::text::content_reader::{ContentReader, failure};
use crate::source::text::spool::Spool;
use crate::source::text::typed_rows::{TypedRows, clock_text, day_text, moment_text, number_text};
use crate::source::text::workbook::package::{DAMAGED, check};
use crate::values::moment::{DAY_MS, within_bounds};
use calamine::{
    DataRef, ExcelDateTime, ExcelDateTimeType, Reader, SheetType, SheetVisible, Xlsx,
    XlsxCellReader, XlsxError,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Days from 1899-12-30, of which Excel counts, to 1970-01-01.
const EPOCH_DAYS: i64 = 25_569;

/// Days from there to 1904-01-01, of which workbooks of old Macs count.
const EPOCH_1904_DAYS: i64 = 1462;

/// Excel takes 1900 for a leap year: this is the day that there never was.
const NO_DAY: i64 = 60;

/// Text of the first rows of a sheet among which the header is looked for: more than any header and
/// what stands above it have.
const FIRST_ROWS_BYTES_MAX: usize = 4 << 20;

/// Cells between two signs of life.
const CELLS_PER_MOVE: u64 = 1 << 16;

type Sheet<'x, 'c> = XlsxCellReader<'x, ContentReader<&'c Content>>;

/// Where the header of a sheet stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HeaderPlace {
    sheet: String,
    row: u32,
    /// Its cells, up to the last one with a name.
    width: usize,
}

/// Writes the rows of a workbook's sheet, from its header on.
///
/// # Errors
///
/// [`SyncError::Damaged`] when it is no workbook, has no such sheet, or is larger than a limit.
pub fn write_rows(
    content: &Content,
    dataset: &Dataset,
    limits: &Limits,
    spool: &mut Spool<'_>,
) -> Result<(), SyncError> {
    check(content, limits)?;
    contained(|| {
        let mut workbook = Xlsx::new(ContentReader::new(content)).map_err(damage)?;
        match header_place(&mut workbook, dataset)? {
            Some(place) => write_sheet(&mut workbook, &place, limits, spool),
            None => Ok(()),
        }
    })
}

/// The first rows of each sheet, as texts; by one of them a dataset may be known.
///
/// # Errors
///
/// As [`write_rows`].
pub fn first_rows(content: &Content, limits: &Limits) -> Result<Vec<Vec<String>>, SyncError> {
    check(content, limits)?;
    contained(|| {
        let mut workbook = Xlsx::new(ContentReader::new(content)).map_err(damage)?;
        let mut rows = Vec::new();
        for name in sheets(&workbook) {
            rows.extend(named_rows(&mut workbook, &name)?.into_iter().map(|(_, names)| names));
        }
        Ok(rows)
    })
}

/// The library's work on a file that is damaged in a way that it did not expect is its damage.
fn contained<T>(work: impl FnOnce() -> Result<T, SyncError>) -> Result<T, SyncError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(SyncError::damaged(DAMAGED)))
}

fn damage(error: XlsxError) -> SyncError {
    match error {
        XlsxError::Io(error) => failure(error, DAMAGED),
        XlsxError::Zip(error) => failure(error.into(), DAMAGED),
        XlsxError::Password => SyncError::damaged(
            "it is a workbook with a password, so it cannot be read: save it without one",
        ),
        XlsxError::CellError(error) => SyncError::damaged(format!(
            "a cell has the error `{error}`, which is none of those of Excel: correct it, or export the sheet as CSV"
        )),
        error => SyncError::damaged(format!("{DAMAGED}: {error}")),
    }
}

/// Names of the sheets that have cells, those that are shown first.
fn sheets(workbook: &Xlsx<ContentReader<&Content>>) -> Vec<String> {
    let all = workbook.sheets_metadata().iter();
    let mut sheets: Vec<_> = all.filter(|sheet| sheet.typ == SheetType::WorkSheet).collect();
    sheets.sort_by_key(|sheet| sheet.visible != SheetVisible::Visible);
    sheets.into_iter().map(|sheet| sheet.name.clone()).collect()
}

/// The sheet that the dataset names, or the first one that has its header; its header. `None` if
/// no sheet has a row.
fn header_place(
    workbook: &mut Xlsx<ContentReader<&Content>>,
    dataset: &Dataset,
) -> Result<Option<HeaderPlace>, SyncError> {
    let all = sheets(workbook);
    let wanted = match &dataset.sheet {
        None => all.clone(),
        Some(name) => {
            let is_it = |sheet: &&String| sheet.trim().eq_ignore_ascii_case(name.trim());
            let found = all.iter().find(|sheet| *sheet == name).or_else(|| all.iter().find(is_it));
            let missing = || {
                SyncError::damaged(format!(
                    "it has no sheet `{name}`, as `sheet` of dataset {} says; its sheets are {}",
                    dataset.name,
                    all.join(", ")
                ))
            };
            vec![found.ok_or_else(missing)?.clone()]
        }
    };
    let mut first = None;
    for sheet in &wanted {
        let rows = named_rows(workbook, sheet)?;
        let place = |(row, names): &(u32, Vec<String>)| HeaderPlace {
            sheet: sheet.clone(),
            row: *row,
            width: names.len(),
        };
        let is_header = |(_, names): &&(u32, Vec<String>)| {
            let names: Vec<String> = names.iter().map(|name| declared_name(name)).collect();
            dataset.is_header(&names)
        };
        if dataset.knows_header()
            && let Some(header) = rows.iter().find(is_header)
        {
            return Ok(Some(place(header)));
        }
        first = first.or_else(|| rows.first().map(place));
    }
    match first {
        Some(_) if dataset.knows_header() && wanted.len() > 1 => {
            let key = dataset.key.names().join(", ");
            Err(SyncError::damaged(format!(
                "none of its sheets ({}) has a row with the key of {} ({key}) among its first {HEADER_ROWS_MAX}: name the sheet \
                 by `sheet` of the dataset, or the column by `from`",
                all.join(", "),
                dataset.name
            )))
        }
        first => Ok(first),
    }
}

/// The first rows of a sheet that are not blank, each up to its last cell with a text.
fn named_rows(
    workbook: &mut Xlsx<ContentReader<&Content>>,
    sheet: &str,
) -> Result<Vec<(u32, Vec<String>)>, SyncError> {
    let mut cells = workbook.worksheet_cells_reader(sheet).map_err(damage)?;
    let mut rows: Vec<(u32, Vec<String>)> = Vec::new();
    let mut bytes = 0;
    while bytes < FIRST_ROWS_BYTES_MAX
        && let Some(cell) = cells.next_cell().map_err(damage)?
    {
        let (row, column) = cell.get_position();
        let text = text_of(cell.get_value());
        if text.trim().is_empty() {
            continue;
        }
        if rows.last().is_none_or(|(last, _)| *last != row) {
            if rows.len() == HEADER_ROWS_MAX {
                break;
            }
            rows.push((row, Vec::new()));
        }
        bytes += text.len();
        let (_, names) = rows.last_mut().expect("one was pushed");
        let column = column as usize;
        names.resize(names.len().max(column + 1), String::new());
        names[column] = text;
    }
    Ok(rows)
}

fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => number_text(*number),
        DataRef::Bool(is_true) => is_true.to_string(),
        DataRef::DateTime(moment) => {
            let (Moment::At(text) | Moment::Clock(text) | Moment::None(text)) = moment_of(moment);
            text
        }
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

fn write_sheet<'c>(
    workbook: &mut Xlsx<ContentReader<&'c Content>>,
    place: &HeaderPlace,
    limits: &Limits,
    spool: &mut Spool<'_>,
) -> Result<(), SyncError> {
    let mut cells: Sheet<'_, 'c> = workbook.worksheet_cells_reader(&place.sheet).map_err(damage)?;
    let mut rows =
        TypedRows::new(spool, place.width, limits.row_bytes_max, limits.decompressed_bytes_max);
    let mut row = place.row;
    let mut count: u64 = 0;
    while let Some(cell) = cells.next_cell_with_formula_metadata().map_err(damage)? {
        count += 1;
        if count.is_multiple_of(CELLS_PER_MOVE) {
            moved();
        }
        let (of_row, column) = (cell.pos.0, cell.pos.1 as usize);
        let is_uncomputed = matches!(cell.value, DataRef::Empty) && cell.formula.is_some();
        if of_row < place.row || (matches!(cell.value, DataRef::Empty) && !is_uncomputed) {
            continue;
        }
        if of_row != row {
            rows.end_row()?;
            row = of_row;
        }
        if column < rows.cells() && of_row == row {
            return Err(SyncError::damaged(format!(
                "{DAMAGED}: the cells of row {} of sheet {} are not in order",
                of_row + 1,
                place.sheet
            )));
        }
        // Far behind the header, only that there is a cell counts.
        let gap_end = column.min(place.width.max(limits.columns_max));
        while rows.cells() < gap_end {
            rows.empty();
        }
        if of_row == place.row {
            // What stands in the header is a name.
            rows.text(text_of(&cell.value).as_bytes());
        } else if is_uncomputed {
            rows.error("formula without a value");
        } else {
            write_cell(&mut rows, &cell.value);
        }
    }
    rows.end_row()
}

fn write_cell(rows: &mut TypedRows<'_, '_>, value: &DataRef<'_>) {
    match value {
        DataRef::String(text) | DataRef::DurationIso(text) => rows.text(text.as_bytes()),
        DataRef::SharedString(text) => rows.text(text.as_bytes()),
        DataRef::DateTimeIso(text) => match is_iso(text) {
            true => rows.value(text),
            false => rows.text(text.as_bytes()),
        },
        DataRef::Int(number) => rows.value(&number.to_string()),
        DataRef::Float(number) => rows.number(*number),
        DataRef::Bool(is_true) => rows.value(if *is_true { "true" } else { "false" }),
        DataRef::DateTime(moment) => match moment_of(moment) {
            Moment::At(text) => rows.value(&text),
            Moment::Clock(text) => rows.text(text.as_bytes()),
            Moment::None(text) => rows.error(&text),
        },
        DataRef::Error(error) => rows.error(&error.to_string()),
        DataRef::Empty => rows.empty(),
    }
}

/// Whether a text begins with an ISO day and has nothing that would end its cell.
fn is_iso(text: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-:.+".contains(&byte);
    crate::values::moment::parse_moment(text).is_some() && text.bytes().all(is_sign)
}

/// What a number in a format of days or times is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Moment {
    /// A day, or a moment without a zone.
    At(String),
    /// A time of day, or a duration.
    Clock(String),
    /// Neither: no day of any calendar.
    None(String),
}

/// Excel counts days; what is behind the point is the part of a day, to the millisecond.
fn moment_of(moment: &ExcelDateTime) -> Moment {
    let (serial, is_1904) = (moment.as_f64(), is_1904(moment));
    let millis = (serial * DAY_MS as f64).round();
    let is_far = millis.abs() > 1e15;
    let none = || Moment::None(number_text(serial));
    if is_far || !serial.is_finite() {
        return none();
    }
    let millis = millis as i64;
    if moment.is_duration() || (0..DAY_MS).contains(&millis) && !is_1904 {
        return Moment::Clock(clock_text(millis));
    }
    let (day, of_day) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS));
    let day = match (is_1904, day) {
        _ if day < 0 => return none(),
        (true, day) => day + EPOCH_1904_DAYS,
        (false, NO_DAY) => return none(),
        (false, day) if day < NO_DAY => day + 1,
        (false, day) => day,
    };
    let day = day - EPOCH_DAYS;
    match within_bounds(day * DAY_MS + of_day) {
        None => none(),
        Some(_) if of_day == 0 => Moment::At(day_text(day)),
        Some(millis) => Moment::At(moment_text(millis, false)),
    }
}

/// The library tells the system of days only to what equals it.
fn is_1904(moment: &ExcelDateTime) -> bool {
    let kind = match moment.is_duration() {
        true => ExcelDateTimeType::TimeDelta,
        false => ExcelDateTimeType::DateTime,
    };
    *moment == ExcelDateTime::new(moment.as_f64(), kind, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_by_both_systems() {
        let of = |serial: f64, is_1904: bool| {
            moment_of(&ExcelDateTime::new(serial, ExcelDateTimeType::DateTime, is_1904))
        };
        let at = |text: &str| Moment::At(text.to_owned());
        for (serial, is_1904, moment) in [
            (44609.0, false, at("2022-02-17")),
            (43147.0, true, at("2022-02-17")),
            (44_609.691_979_166_67, false, at("2022-02-17T16:36:27.000")),
            (44609.5, false, at("2022-02-17T12:00:00.000")),
            (1.0, false, at("1900-01-01")),
            (59.0, false, at("1900-02-28")),
            (60.0, false, Moment::None("60".to_owned())),
            (61.0, false, at("1900-03-01")),
            (0.0, true, at("1904-01-01")),
            (0.5, false, Moment::Clock("12:00:00".to_owned())),
            (2_958_465.0, false, at("9999-12-31")),
            (2_958_466.0, false, Moment::None("2958466".to_owned())),
            (-3.0, false, Moment::None("-3".to_owned())),
            (1e300, false, Moment::None("1E+300".to_owned())),
        ] {
            assert_eq!(of(serial, is_1904), moment, "{serial} {is_1904}");
        }
        let duration = ExcelDateTime::new(1.25, ExcelDateTimeType::TimeDelta, false);
        assert_eq!(moment_of(&duration), Moment::Clock("30:00:00".to_owned()));
    }
}
