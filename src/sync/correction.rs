//! Correction: how a corrected copy of rejected rows relates to the file that it corrects.
//!
//! A row whose key could not be read may be one of several rows of its record. The record is then
//! built as if the file had had the key: the other rows are read from the file again, and rows of
//! earlier copies from the ledger. If the file is gone, the row is added to what is stored. No line
//! is deleted while a reject may still belong to any record.

use crate::chunk::{JoinedRow, JoinedRows};
use crate::config::Config;
use crate::error::SyncError;
use crate::feed::correction::row_note;
use crate::feed::dataset::Dataset;
use crate::feed::layout::{Layout, Role, Shapes};
use crate::feed::row_format::{Dialect, RowFormat};
use crate::sink::ledger::files::FileRecord;
use crate::sink::ledger::rejects::{CorrectedFiles, EarlierCorrection, RejectedRow};
use crate::source::find::scan::SourceFile;
use crate::source::find::zipped::{folder_of, member_of, stamp_at};
use crate::source::other_rows::{OtherRow, read_other_rows};
use crate::source::reader::rows_at;
use crate::source::rows::Form;
use crate::source::survey::survey;
use crate::source::text::content::Content;
use crate::source::text::read_text;
use crate::sync::archive::archived;
use crate::sync::look::Surveyed;
use crate::sync::session::{Session, blocking};
use entity::Kind;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A corrected copy, with what completes its records; see the module.
#[derive(Debug, Default)]
pub struct Correction {
    /// The files whose rejects the copy may close.
    pub files: CorrectedFiles,
    /// Records with rows of the copy and of other files.
    pub joined: HashSet<String>,
    /// The rows of other files.
    pub rows: JoinedRows,
    /// Records that are still incomplete.
    pub in_part: HashSet<String>,
    /// Whether any record may lack rows, so that no line may be deleted.
    pub is_in_part: bool,
    /// Warning for the operator.
    pub note: Option<String>,
    /// Warning for the operator, if the copy closes no reject.
    pub closes_none: Option<String>,
}

/// Finds the rows that complete a corrected copy, and adds columns that only other files have to
/// its layout. `None` if the file is not a corrected copy.
///
/// # Errors
///
/// When the database fails, or a file cannot be read.
pub(crate) async fn correction(
    session: &Session,
    source_file: &SourceFile,
    surveyed: &mut Surveyed,
    dataset: &Arc<Dataset>,
) -> Result<Option<Correction>, SyncError> {
    if surveyed.file.corrects.is_none() {
        return Ok(None);
    }
    let files = session.sink.ledger.corrected_files(&surveyed.file).await?;
    let rejected = session.sink.ledger.rejected_rows(&files).await?;
    let own = own_rows(session, surveyed, dataset).await?;
    let mut correction = Correction {
        joined: joined_keys(&own, &rejected),
        in_part: keys_in_part(&own, &rejected),
        is_in_part: surveyed.survey.rows_of_unknown_records > 0
            || rejected.iter().any(|row| row.is_open && row.key.is_none() && !own.contains(row)),
        files,
        ..Correction::default()
    };
    let Some(export) = correction.files.newest.clone() else {
        // It is unknown which records its rows belonged to.
        correction.is_in_part = true;
        correction.closes_none = Some(nothing_to_close(&surveyed.file, dataset));
        return Ok(Some(correction));
    };
    // After a restart, the copy may have closed some itself.
    let is_begun = surveyed.file.position.is_some();
    if !is_begun && !rejected.iter().any(|row| row.is_open && own.has_number_of(row)) {
        correction.closes_none = Some(format!(
            "it closes no reject, because none of its rows is an open one of {} by its number in _row; `tidegate rejects` \
             lists those that are open",
            export.path
        ));
    }
    if correction.joined.is_empty() {
        return Ok(Some(correction));
    }
    let keys: Vec<String> = correction.joined.iter().cloned().collect();
    let earlier = session.sink.ledger.earlier_corrections(export.id, &keys).await?;
    match read_export(session, &source_file.root, &export, dataset, &correction.joined).await? {
        Some(others) => {
            correction.rows =
                joined_rows(others, &earlier, surveyed, dataset, &session.sink.tables.shapes());
        }
        None => {
            correction.in_part.extend(correction.joined.iter().cloned());
            correction.note = Some(format!(
                "{} is gone or has changed, so the other rows of its records could not be read: the corrected rows were added to \
                 what is stored, and nothing was deleted; a right export of the dataset and market settles what is left",
                export.path
            ));
        }
    }
    Ok(Some(correction))
}

/// A copy that lies in another folder than the file that it corrects may be of another market: it
/// must not look like a success that its rows are stored there.
fn nothing_to_close(file: &FileRecord, dataset: &Dataset) -> String {
    let market = match file.market.as_deref().unwrap_or_default() {
        "" => "without a market".to_owned(),
        market => format!("of market {market}"),
    };
    format!(
        "it closes no reject, because no file `{}` of {} {market} has any, so its rows were loaded {market}; drop it into the \
         folder of the file that it corrects, which `tidegate rejects` names",
        file.corrects.as_deref().unwrap_or_default(),
        dataset.name
    )
}

/// The loadable rows of the copy.
#[derive(Default)]
struct OwnRows {
    /// Row numbers in the export of all rows, also of those that cannot be loaded.
    numbers: HashSet<u64>,
    /// From row number in the export to the record that the row is in now.
    by_number: HashMap<u64, String>,
    /// Records with unnumbered rows.
    unnumbered: HashSet<String>,
    keys: HashSet<String>,
}

impl OwnRows {
    fn contains(&self, row: &RejectedRow) -> bool {
        row.number.is_some_and(|number| self.by_number.contains_key(&number))
    }

    fn has_number_of(&self, row: &RejectedRow) -> bool {
        row.number.is_some_and(|number| self.numbers.contains(&number))
    }
}

async fn own_rows(
    session: &Session,
    surveyed: &Surveyed,
    dataset: &Arc<Dataset>,
) -> Result<OwnRows, SyncError> {
    let (content, layout, format) =
        (Arc::clone(&surveyed.content), Arc::clone(&surveyed.layout), surveyed.survey.format.rows);
    let (config, dataset) = (Arc::clone(&session.config), Arc::clone(dataset));
    blocking(move || {
        let (mut own, mut broken) = (OwnRows::default(), HashSet::new());
        let (Some(column), RowFormat::Csv(dialect)) = (row_note(&layout), format) else {
            return Ok(own);
        };
        let mut rows = rows_at(&content, format, &layout, &dataset, &config.limits, 0, 0)?;
        while let Some(row) = rows.next_row()? {
            let number = dialect.number_in(row.raw, column);
            own.numbers.extend(number);
            let Some(key) = row.key else { continue };
            if matches!(row.form, Form::Broken(_)) {
                broken.insert(key);
                continue;
            }
            match number {
                Some(number) => drop(own.by_number.insert(number, key.clone())),
                None => drop(own.unnumbered.insert(key.clone())),
            }
            own.keys.insert(key);
        }
        // One faulty row rejects its whole record again.
        own.by_number.retain(|_, key| !broken.contains(key));
        own.keys.retain(|key| !broken.contains(key));
        own.unnumbered.retain(|key| !broken.contains(key));
        Ok(own)
    })
    .await
}

/// Records of the copy with a row whose record was unknown before.
fn joined_keys(own: &OwnRows, rejected: &[RejectedRow]) -> HashSet<String> {
    let of_export = rejected.iter().filter(|row| row.is_of_export);
    let moved = of_export.filter_map(|row| {
        let key = own.by_number.get(&row.number?)?;
        (row.key.as_ref() != Some(key)).then(|| key.clone())
    });
    moved.collect()
}

/// Records of the copy with rows that are still rejected, or with rows of unknown origin.
fn keys_in_part(own: &OwnRows, rejected: &[RejectedRow]) -> HashSet<String> {
    let open = rejected.iter().filter(|row| row.is_open && !own.contains(row));
    let left_out = open.filter_map(|row| row.key.clone()).filter(|key| own.keys.contains(key));
    let numbers: HashSet<u64> =
        rejected.iter().filter(|row| row.is_of_export).filter_map(|row| row.number).collect();
    let strange =
        own.by_number.iter().filter(|(number, _)| !numbers.contains(number)).map(|(_, key)| key);
    left_out.chain(strange.cloned()).chain(own.unnumbered.iter().cloned()).collect()
}

/// The export's rows of some records.
struct Others {
    layout: Layout,
    rows: HashMap<String, Vec<OtherRow>>,
}

/// Reads the export again, if its content is unchanged.
async fn read_export(
    session: &Session,
    root: &Arc<Path>,
    export: &FileRecord,
    dataset: &Arc<Dataset>,
    keys: &HashSet<String>,
) -> Result<Option<Others>, SyncError> {
    let (config, dataset, keys) = (Arc::clone(&session.config), Arc::clone(dataset), keys.clone());
    let (shapes, root, export) = (session.sink.tables.shapes(), Arc::clone(root), export.clone());
    blocking(move || {
        let Some(content) = find_export(&config, &root, &export) else { return Ok(None) };
        let text = read_text(content, &dataset, None, &config.limits, &config.state_dir)?;
        let (survey, layout) = survey(&text, &dataset, &shapes, &config.limits)?;
        let rows = read_other_rows(
            &text.content,
            survey.format.rows,
            &layout,
            &dataset,
            &config.limits,
            &keys,
        )?;
        Ok(Some(Others { layout, rows }))
    })
    .await
}

/// Opens the export, at its path or in the archive. An unreadable one counts as gone.
fn find_export(config: &Config, root: &Path, export: &FileRecord) -> Option<Content> {
    let path = PathBuf::from(&export.path);
    let folder = folder_of(&path);
    let own_root = if path.starts_with(root) { root } else { &folder };
    let (lies_at, member) = match member_of(own_root, &path) {
        Some((archive, name)) => (archive, Some(name)),
        None => (path.clone(), None),
    };
    let archive = archived(config, &lies_at).map(|place| match member {
        Some(name) => place.join(name),
        None => place,
    });
    let archive = archive.map(|place| (config.archive_dir.as_path(), place));
    std::iter::once((own_root, path.clone())).chain(archive).find_map(|(root, place)| {
        let stamp = stamp_at(root, &place, &config.limits).ok()??;
        if stamp.size_bytes != export.stamp.size_bytes {
            return None;
        }
        let mut content = Content::open(root, &place, &config.limits).ok()?;
        content.hash().is_ok_and(|sha256| sha256 == export.sha256).then_some(content)
    })
}

/// The other rows in the copy's columns, followed by columns that it lacks.
fn joined_rows(
    others: Others,
    earlier: &[EarlierCorrection],
    surveyed: &mut Surveyed,
    dataset: &Dataset,
    shapes: &Shapes,
) -> JoinedRows {
    let RowFormat::Csv(dialect) = surveyed.survey.format.rows else { return JoinedRows::default() };
    let layout = Arc::make_mut(&mut surveyed.layout);
    let number_column = row_note(layout).unwrap_or_default();
    let own_columns = layout.columns.len();
    for column in
        others.layout.columns.iter().filter(|column| matches!(column.role, Role::Column(_)))
    {
        if !layout.columns.iter().any(|own| own.name == column.name) {
            let index = layout.push(&column.raw_name, dataset, shapes);
            layout.columns[index].rules = column.rules.clone();
            layout.columns[index].kind = column.kind;
        }
    }
    // A column without a value in the copy may have values in the other rows, which were not
    // surveyed.
    for column in layout.all_mut().filter(|column| matches!(column.role, Role::Column(_))) {
        column.kind = column.kind.or(Some(Kind::Text));
    }
    let mut by_key: HashMap<String, BTreeMap<u64, BTreeMap<String, String>>> = HashMap::new();
    for (key, rows) in others.rows {
        by_key.insert(key, rows.into_iter().map(|row| (row.number, row.cells)).collect());
    }
    for row in earlier {
        let cells = serde_json::from_str(&row.cells).unwrap_or_default();
        by_key.entry(row.key.clone()).or_default().insert(row.number, cells);
    }
    let by_key = by_key.into_iter().map(|(key, rows)| {
        let parts = dataset.key.split(&key);
        let rows = rows
            .into_iter()
            .map(|(number, cells)| joined_row(number, &parts, &cells, layout, dialect));
        (key.clone(), rows.collect())
    });
    JoinedRows {
        by_key: by_key.collect(),
        columns_added: layout.columns.len() - own_columns,
        number_column,
    }
}

fn joined_row(
    number: u64,
    parts: &[Cow<'_, str>],
    cells: &BTreeMap<String, String>,
    layout: &Layout,
    dialect: Dialect,
) -> JoinedRow {
    let mut row = JoinedRow { number, bytes: Vec::new(), absent: Vec::new() };
    for (index, column) in layout.columns.iter().enumerate() {
        if index > 0 {
            row.bytes.push(dialect.delimiter);
        }
        let text = match column.role {
            Role::Key(part) => Some(&*parts[part]),
            Role::Column(_) => cells.get(&column.name).map(String::as_str),
            Role::Padding | Role::Note | Role::Ignored => Some(""),
        };
        match text {
            Some("") => {}
            Some(text) => row.bytes.extend(dialect.quoted(text).bytes()),
            None => row.absent.push(index),
        }
    }
    row
}
