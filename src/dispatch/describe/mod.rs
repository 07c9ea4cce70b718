//! Describe: the declaration of files of which nothing is known. It opens no database and writes
//! nothing.
//!
//! Files that are alike make one dataset. What is found is tried before it is told: the declaration
//! is read as the configuration would read it, and the files are read by it as a sync would read
//! them. What then does not fit is taken back until everything does.

mod found;
mod tried;

use crate::config::{Config, Limits};
use crate::dispatch::describe::found::found;
use crate::dispatch::describe::tried::settled;
use crate::error::SyncError;
use crate::feed::dataset::{Dataset, DatasetSettings};
use crate::feed::describe::draft::{Draft, DraftColumn};
use crate::feed::describe::name::{FileName, free_name};
use crate::feed::json_settings::JsonSettings;
use crate::feed::row_format::RowFormat;
use crate::sink::marts::definition::Definitions;
use crate::sink::tables::declared_shapes;
use crate::source::describe::above::names_of_lower_header;
use crate::source::describe::json_shape::roots;
use crate::source::describe::{foreign_words, rows};
use crate::source::find::scan::SourceFile;
use crate::source::find::zipped::is_zip;
use crate::source::format::{Format, find_row_format};
use crate::source::text::content::Content;
use crate::source::text::{Text, read_text, read_text_as_it_looks};
use serde::Serialize;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The files that were described, and those that could not be.
#[derive(Debug, Default, Serialize)]
pub struct Description {
    /// A dataset for all files that are alike.
    pub datasets: Vec<DescribedDataset>,
    /// Files that could not be described, or that no declaration helps.
    pub failures: Vec<Failure>,
}

/// A dataset that was found.
#[derive(Debug, Serialize)]
pub struct DescribedDataset {
    /// Its name.
    pub name: String,
    /// Names of its files.
    pub files: Vec<String>,
    /// How the first of them is written.
    pub format: String,
    /// Datasets of the configuration that take these files already.
    pub taken_by: Vec<String>,
    /// Columns of its key.
    pub key: Vec<String>,
    /// Table of its lines, if records have lines.
    pub lines_table: Option<String>,
    /// Its columns.
    pub columns: Vec<DraftColumn>,
    /// Everything that is left open, or that must be known.
    pub notes: Vec<String>,
    /// The declaration, to be put into a configuration.
    pub toml: String,
}

/// A file that could not be described.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Its path.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// A file that was looked into.
#[derive(Debug)]
struct Looked {
    file: SourceFile,
    name: FileName,
    format: Format,
    /// Whether its encoding is only what it looks like.
    is_encoding_guessed: bool,
    /// Words by which a guess can be checked.
    words: Vec<String>,
    /// Names by which its header is found, if other rows stand above it.
    header_has: Vec<String>,
    /// Arrays of objects in a JSON document.
    roots: Vec<String>,
    /// Names of the columns of a CSV file.
    header: Vec<String>,
    /// The configured dataset that takes it.
    taken_by: Option<String>,
}

/// Describes files.
///
/// # Errors
///
/// When the definitions of marts are wrong, whose names no dataset may have.
pub fn describe(config: &Config, files: Vec<SourceFile>) -> Result<Description, SyncError> {
    let mut description = Description::default();
    let mut groups: Vec<Vec<Looked>> = Vec::new();
    for file in files {
        match Looked::at(&file, config) {
            Ok(looked) => match groups.iter_mut().find(|group| group[0].is_like(&looked)) {
                Some(group) => group.push(looked),
                None => groups.push(vec![looked]),
            },
            Err(error) => description.failures.push(failure(&file, &error)),
        }
    }
    let mut taken = taken_names(config)?;
    for group in groups {
        match described(config, &group, &taken) {
            Ok((dataset, refusal)) => {
                taken.insert(dataset.name.clone());
                taken.extend(dataset.lines_table.clone());
                description.datasets.push(dataset);
                description.failures.extend(refusal);
            }
            Err(error) => description
                .failures
                .extend(group.iter().map(|looked| failure(&looked.file, &error))),
        }
    }
    Ok(description)
}

fn failure(file: &SourceFile, error: &SyncError) -> Failure {
    Failure { file: file.path_text(), reason: error.to_string() }
}

/// Names that a dataset cannot have, because a dataset, table, mart or view has them.
fn taken_names(config: &Config) -> Result<HashSet<String>, SyncError> {
    let mut taken: HashSet<String> = declared_shapes().into_keys().collect();
    taken.extend(Definitions::load(config.marts_dir.as_deref())?.names().into_iter().cloned());
    for dataset in &config.datasets {
        taken.extend([dataset.name.clone(), dataset.table.clone()]);
        taken.extend(dataset.lines.as_ref().map(|lines| lines.table.clone()));
    }
    Ok(taken)
}

fn described(
    config: &Config,
    group: &[Looked],
    taken: &HashSet<String>,
) -> Result<(DescribedDataset, Option<Failure>), SyncError> {
    let first = &group[0];
    let name = free_name(&first.name.dataset, taken);
    let mut draft =
        Draft { name: name.clone(), pattern: first.name.pattern.clone(), ..Draft::default() };
    draft.has_market = first.name.has_market;
    let lines_table = free_name(&format!("{name}_lines"), taken);
    let rejected = found(config, group, &lines_table, &mut draft)?;
    let settled = settled(config, group, draft, rejected)?;
    let draft = settled.draft;
    let mut notes = draft.notes.clone();
    notes.extend(
        [&draft.encoding_notes, &draft.decimal_notes, &draft.json_notes, &draft.key_notes]
            .into_iter()
            .flatten()
            .cloned(),
    );
    let taken_by: HashSet<String> =
        group.iter().filter_map(|looked| looked.taken_by.clone()).collect();
    let dataset = DescribedDataset {
        name,
        files: group.iter().map(|looked| looked.file.name()).collect(),
        format: first.format.to_string(),
        taken_by: taken_by.into_iter().collect(),
        key: draft.key.clone(),
        lines_table: draft.lines_table.clone(),
        columns: draft.columns,
        notes,
        toml: settled.toml,
    };
    let refusal = settled.refusal.map(|(file, reason)| Failure { file, reason });
    Ok((dataset, refusal))
}

impl Looked {
    fn at(file: &SourceFile, config: &Config) -> Result<Self, SyncError> {
        check_extension(file)?;
        let plain = dataset_of(config, &DatasetSettings::default())?;
        let (text, is_encoding_guessed) = read_text_as_it_looks(
            opened(file, config)?,
            &plain,
            &config.limits,
            &spool_dir(config),
        )?;
        let rows = find_row_format(&text.content, &plain, &config.limits)?;
        let header_has = match rows {
            RowFormat::Json => Vec::new(),
            RowFormat::Csv(_) => names_of_lower_header(&text, config.limits.row_bytes_max)?,
        };
        let settings =
            DatasetSettings { header_has: header_has.clone(), ..DatasetSettings::default() };
        let dataset = dataset_of(config, &settings)?;
        let rows = find_row_format(&text.content, &dataset, &config.limits)?;
        let (header, roots) = match rows {
            RowFormat::Json => (Vec::new(), roots(&text)),
            RowFormat::Csv(dialect) => (rows::header(&text, dialect, &dataset)?, Vec::new()),
        };
        if header.iter().any(|name| name.contains('\0')) {
            return Err(SyncError::damaged("it is no text: its first row has NUL bytes"));
        }
        let taken_by = file.route.as_ref().filter(|(dataset, _)| !dataset.is_made);
        Ok(Self {
            name: FileName::of(&file.name_text()),
            format: Format { compression: text.compression, encoding: text.encoding, rows },
            is_encoding_guessed,
            words: if is_encoding_guessed { foreign_words(&text) } else { Vec::new() },
            header_has,
            roots,
            header,
            taken_by: taken_by.map(|(dataset, _)| dataset.name.clone()),
            file: file.clone(),
        })
    }

    /// Whether one declaration may serve both: their names differ in days and numbers alone, and
    /// their headers not at all.
    fn is_like(&self, other: &Self) -> bool {
        let is_same_root =
            self.roots.first() == other.roots.first() && self.roots.len() == other.roots.len();
        self.name == other.name && self.header == other.header && is_same_root
    }

    /// What is declared of files that are alike before anything is known of the columns.
    fn settings(group: &[Self]) -> DatasetSettings {
        let first = &group[0];
        let mut encodings: Vec<String> = Vec::new();
        if group.iter().any(|looked| looked.is_encoding_guessed) {
            // What one of them can only be, such as UTF-8, is no text in most others.
            let (guessed, proven): (Vec<&Self>, _) =
                group.iter().partition(|looked| looked.is_encoding_guessed);
            for looked in proven.into_iter().chain(guessed) {
                let name = looked.format.encoding.name().to_owned();
                if !encodings.contains(&name) {
                    encodings.push(name);
                }
            }
        }
        let json =
            first.roots.first().map(|root| JsonSettings { root: Some(root.clone()), lines: None });
        DatasetSettings {
            header_has: first.header_has.clone(),
            encoding: encodings,
            json,
            ..DatasetSettings::default()
        }
    }

    /// The file's text by a declaration.
    fn text(&self, dataset: &Dataset, config: &Config) -> Result<Text, SyncError> {
        read_text(opened(&self.file, config)?, dataset, None, &config.limits, &spool_dir(config))
    }
}

/// Where a large text is kept, in a file without a name, while it is looked at. The state directory
/// is not made for that.
fn spool_dir(config: &Config) -> PathBuf {
    if config.state_dir.is_dir() { config.state_dir.clone() } else { std::env::temp_dir() }
}

/// Refuses files that are no text.
fn check_extension(file: &SourceFile) -> Result<(), SyncError> {
    let of_archive = file.unmatched_reason.as_ref().filter(|_| is_zip(&file.path));
    if let Some(reason) = file.refusal.as_ref().or(of_archive) {
        return Err(SyncError::damaged(reason.as_str()));
    }
    let extension =
        file.path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some(kind @ ("xls" | "ods" | "zip" | "pdf")) => Err(SyncError::damaged(format!(
            "a .{kind} file cannot be described; export it as CSV, TSV, JSON, .xlsx or .parquet, packed by gzip or zstd or not"
        ))),
        _ => Ok(()),
    }
}

/// A file's content with what its bytes say of its encoding.
fn opened(file: &SourceFile, config: &Config) -> Result<Content, SyncError> {
    let limits = Limits { spool_dir: spool_dir(config), ..config.limits.clone() };
    let mut content = Content::open(&file.root, &file.path, &limits)?;
    content.hash()?;
    Ok(content)
}

/// A dataset as the configuration would have it, under any name.
fn dataset_of(config: &Config, settings: &DatasetSettings) -> Result<Arc<Dataset>, SyncError> {
    config.dataset_of("described", settings).map_err(SyncError::Internal)
}
