//! Found: what the rows of files that are alike say, as a first draft of their declaration.

use crate::config::Config;
use crate::dispatch::describe::{Looked, dataset_of};
use crate::error::SyncError;
use crate::feed::dataset::{Dataset, DatasetSettings, Owner};
use crate::feed::describe::columns::{FoundColumn, draft_column};
use crate::feed::describe::draft::{Draft, excerpt};
use crate::feed::describe::facts::FileFacts;
use crate::feed::describe::key::FoundKey;
use crate::feed::describe::totals::TotalRow;
use crate::feed::json_settings::JsonSettings;
use crate::feed::layout::{Layout, Shapes, column_name, name_at};
use crate::feed::row_format::RowFormat;
use crate::source::describe::rows::{arrays_of_objects, observe_csv, observe_json};
use crate::source::survey::{Survey, survey};
use crate::values::number::DecimalSign;
use std::collections::BTreeSet;

/// Parts of names of an array of lines among others.
const NAMES_OF_LINES: [&str; 5] = ["line", "item", "position", "product", "entries"];

/// Arrays that a comment names.
const ARRAYS_NAMED_MAX: usize = 5;

/// Fills in a draft, and returns how many rows cannot be loaded without any key or type.
pub(super) fn found(
    config: &Config,
    group: &[Looked],
    lines_table: &str,
    draft: &mut Draft,
) -> Result<u64, SyncError> {
    let mut settings = Looked::settings(group);
    let arrays = arrays(config, group, &settings)?;
    let lines = arrays_of_lines(&arrays);
    let (mut facts, mut totals) = facts(config, group, &settings, lines.as_deref())?;
    let mut key = facts.key.found();
    let has_json_lines = lines.is_some() && key.record_columns.is_none() && !key.columns.is_empty();
    if lines.is_some() && !has_json_lines {
        // Lines need a key of their record.
        (facts, totals) = self::facts(config, group, &settings, None)?;
        key = facts.key.found();
    }
    let json_lines = lines.filter(|_| has_json_lines);
    let names: Vec<String> = facts
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| name_at(index, &column.raw_name))
        .collect();
    if json_lines.is_some() || key.record_columns.is_some() {
        draft.lines_table = Some(lines_table.to_owned());
    }
    if let Some(lines) = &json_lines {
        let root = group[0].roots.first().cloned();
        settings.json = Some(JsonSettings { root, lines: Some(lines.clone()) });
        settings.lines_table = Some(lines_table.to_owned());
        settings.key = key.columns.iter().map(|&column| names[column].clone()).collect();
    }
    settings.no_rows =
        totals.iter().map(|total| (names[total.column].clone(), total.pattern.clone())).collect();
    draft.json = settings.json.clone().unwrap_or_default();
    draft.no_rows = settings.no_rows.clone().into_iter().collect();
    let (columns, rejected) = found_columns(config, group, &settings, &facts, &key)?;
    let signs: BTreeSet<&str> =
        columns.iter().filter_map(|column| Some(column.sign?.as_str())).collect();
    let sign =
        if signs.len() == 1 { signs.first().and_then(|sign| DecimalSign::of(sign)) } else { None };
    draft.decimal = sign;
    draft.columns = facts
        .columns
        .iter()
        .zip(&columns)
        .map(|(facts, found)| draft_column(facts, found, sign))
        .collect();
    draft.key = key.columns.iter().map(|&column| columns[column].name.clone()).collect();
    say_file(draft, group, &facts);
    say_decimal(draft, &facts);
    say_key(draft, &facts, &key, &columns);
    say_json(draft, group, &arrays, json_lines.as_deref());
    Ok(rejected)
}

/// Arrays of objects that all records of JSON files may have.
fn arrays(
    config: &Config,
    group: &[Looked],
    settings: &DatasetSettings,
) -> Result<Vec<String>, SyncError> {
    let dataset = dataset_of(config, settings)?;
    let mut arrays = BTreeSet::new();
    for looked in group.iter().filter(|looked| matches!(looked.format.rows, RowFormat::Json)) {
        arrays.extend(arrays_of_objects(
            &looked.text(&dataset, config)?,
            &dataset,
            &config.limits,
        )?);
    }
    Ok(arrays.into_iter().collect())
}

/// The only array, or the only one with a name for lines.
fn arrays_of_lines(arrays: &[String]) -> Option<String> {
    let by_name = |path: &&String| {
        let last = path.rsplit('.').next().unwrap_or(path).to_lowercase();
        NAMES_OF_LINES.iter().any(|part| last.contains(part))
    };
    let named: Vec<&String> = arrays.iter().filter(by_name).collect();
    match (arrays, named.as_slice()) {
        ([only], _) => Some(only.clone()),
        (_, [only]) => Some((*only).clone()),
        (_, several) => {
            several.iter().find(|path| path.as_str() == "line_items").map(|path| (*path).clone())
        }
    }
}

/// What the rows of all files show, and those of them that are totals.
fn facts(
    config: &Config,
    group: &[Looked],
    settings: &DatasetSettings,
    lines: Option<&str>,
) -> Result<(FileFacts, Vec<TotalRow>), SyncError> {
    let dataset = dataset_of(config, settings)?;
    let header = &group[0].header;
    let named = header.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
    let mut facts = FileFacts::new(&header[..named]);
    let mut totals: Vec<TotalRow> = Vec::new();
    for looked in group {
        let text = looked.text(&dataset, config)?;
        facts.begin_file();
        match looked.format.rows {
            RowFormat::Json => observe_json(&text, &dataset, lines, &config.limits, &mut facts)?,
            RowFormat::Csv(dialect) => {
                for total in observe_csv(&text, dialect, &dataset, &mut facts)? {
                    push_total(&mut totals, total);
                }
            }
        }
    }
    Ok((facts, totals))
}

/// A column has one pattern for all of its totals.
fn push_total(totals: &mut Vec<TotalRow>, total: TotalRow) {
    match totals.iter_mut().find(|own| own.column == total.column) {
        Some(own) if own.pattern == total.pattern => {}
        Some(own) => own.pattern = format!("{}|{}", own.pattern, total.pattern),
        None => totals.push(total),
    }
}

/// What a sync would find in the columns of all files, and the rows that it could not load.
fn found_columns(
    config: &Config,
    group: &[Looked],
    settings: &DatasetSettings,
    facts: &FileFacts,
    key: &FoundKey,
) -> Result<(Vec<FoundColumn>, u64), SyncError> {
    let dataset = dataset_of(config, settings)?;
    let mut columns: Vec<FoundColumn> = vec![FoundColumn::default(); facts.columns.len()];
    let mut rejected = 0;
    for looked in group {
        let text = looked.text(&dataset, config)?;
        let (survey, layout) = survey(&text, &dataset, &Shapes::new(), &config.limits)?;
        rejected += survey.rows_rejected;
        let is_json = matches!(looked.format.rows, RowFormat::Json);
        for (index, (column, own)) in columns.iter_mut().zip(&facts.columns).enumerate() {
            if let Some(at) = place_of(&layout, index, &own.raw_name, is_json) {
                column.take(&layout, at, &survey, &dataset);
            }
        }
    }
    for (index, column) in columns.iter_mut().enumerate() {
        column.is_key = key.columns.contains(&index);
        column.owner =
            key.record_columns.as_ref().map(|of_record| match of_record.contains(&index) {
                true => Owner::Record,
                false => Owner::Line,
            });
        if column.name.is_empty() {
            column.name = name_at(index, &facts.columns[index].raw_name);
            column.is_named_by_another = true;
        }
    }
    Ok((columns, rejected))
}

fn place_of(layout: &Layout, index: usize, raw_name: &str, is_json: bool) -> Option<usize> {
    let is_own = |raw_name: &str, at: usize| {
        layout.columns.get(at).is_some_and(|column| column.raw_name == raw_name)
    };
    match is_json {
        false => is_own(raw_name, index).then_some(index),
        true => layout.columns.iter().position(|column| column.raw_name == raw_name),
    }
}

impl FoundColumn {
    /// Takes what one more file has in the column.
    fn take(&mut self, layout: &Layout, at: usize, survey: &Survey, dataset: &Dataset) {
        let column = &layout.columns[at];
        let is_first = !layout.columns[..at].iter().any(|other| other.own_name == column.own_name);
        self.name.clone_from(&column.name);
        self.is_named_by_another |= !is_first;
        self.kind = match (self.kind, column.kind) {
            (Some(one), Some(other)) => Some(one.joined(other)),
            (one, other) => one.or(other),
        };
        let proved = survey
            .numbers
            .proved
            .iter()
            .find(|(name, _)| *name == column.name)
            .map(|(_, form)| form);
        self.has_currency |= proved.is_some_and(|form| form.currency.is_some());
        let is_open = dataset.declared_decimal(&column.name).is_none();
        self.sign = self.sign.or(proved.and_then(|form| form.decimal).filter(|_| is_open));
    }
}

fn say_file(draft: &mut Draft, group: &[Looked], facts: &FileFacts) {
    for looked in group {
        draft.notes.push(format!("{}: {}", looked.file.name(), looked.format));
        if let Some(dataset) = &looked.taken_by {
            draft.notes.push(format!(
                "dataset {dataset} of the configuration takes it already: this declaration would be a second one, and the \
                 configuration's first match counts"
            ));
        }
    }
    let rows = facts.rows;
    draft.notes.push(format!(
        "{rows} {}; what its values leave open is said at each column",
        if rows == 1 { "row" } else { "rows" }
    ));
    let first = &group[0];
    draft.header_has.clone_from(&first.header_has);
    let names = facts
        .columns
        .iter()
        .map(|column| &column.raw_name)
        .filter(|name| !column_name(name).is_empty());
    draft.header_names = names.cloned().collect();
    draft.encodings = Looked::settings(group).encoding;
    for guessed in group.iter().filter(|looked| looked.is_encoding_guessed) {
        let name = guessed.format.encoding.name();
        let words: Vec<String> = guessed.words.iter().map(|word| excerpt(word)).collect();
        draft.encoding_notes.push(format!(
            "GUESS: {} is neither UTF-8 nor UTF-16 and looks like {name}; without `encoding` it is quarantined. Check these words: {}",
            guessed.file.name(),
            words.join(", ")
        ));
    }
}

fn say_decimal(draft: &mut Draft, facts: &FileFacts) {
    let is_open = facts.columns.iter().any(|column| column.open_number.is_some());
    if let (None, true) = (draft.decimal, is_open) {
        draft.decimal_notes.push(
            "decimal = \",\"  # or \".\": no value proves which sign stands before decimals"
                .to_owned(),
        );
    }
}

fn say_key(draft: &mut Draft, facts: &FileFacts, key: &FoundKey, columns: &[FoundColumn]) {
    let names = |indexes: &[usize]| {
        let names = indexes.iter().map(|&index| format!("\"{}\"", columns[index].name));
        names.collect::<Vec<_>>().join(", ")
    };
    let rows = facts.rows;
    if draft.lines_table.is_some() && key.record_columns.is_some() {
        draft.key_notes.push(format!(
            "rows with one {} follow one another and are the same in some columns: a record with lines; \
             if each row is a record of its own, say no `key`, no `lines_table` and no `of`",
            names(&key.columns)
        ));
        return;
    }
    match key.columns.as_slice() {
        [] => {
            let nearest = facts.key.nearest().map(|column| names(&[column]));
            let hint = nearest
                .map(|name| format!(", such as key = {name} if that is meant to be one"))
                .unwrap_or_default();
            draft
                .key_notes
                .push(format!("no column identifies a row, so each distinct row is a record; say key = \"…\"{hint}"));
        }
        own if rows == 1 => {
            draft
                .key_notes
                .push(format!("a guess by its name: {} identifies a record", names(own)));
        }
        own if key.is_guess => {
            draft.key_notes.push(format!(
                "a guess: no two of its {rows} rows have the same {} here",
                names(own)
            ));
        }
        own => draft
            .key_notes
            .push(format!("no two of its {rows} records have the same {}", names(own))),
    }
    if let Some(other) = facts.key.alternative().filter(|other| other.columns != key.columns) {
        draft.key_notes.push(format!(
            "or: key = {}, lines_table = \"{}_lines\", and of = \"record\" at {}",
            names(&other.columns),
            draft.name,
            names(&other.record_columns.unwrap_or_default())
        ));
    }
}

fn say_json(draft: &mut Draft, group: &[Looked], arrays: &[String], lines: Option<&str>) {
    let quoted = |paths: &[String]| {
        let shown = paths.iter().take(ARRAYS_NAMED_MAX).map(|path| excerpt(path));
        shown.collect::<Vec<_>>().join(", ")
    };
    if let [root, others @ ..] = group[0].roots.as_slice()
        && !others.is_empty()
    {
        draft.json_notes.push(format!(
            "{} is the longest array of objects; others are {}",
            excerpt(root),
            quoted(others)
        ));
    }
    let others: Vec<String> =
        arrays.iter().filter(|path| Some(path.as_str()) != lines).cloned().collect();
    if !others.is_empty() {
        let instead = if lines.is_some() { "instead" } else { "with `key` and `lines_table`" };
        draft.json_notes.push(format!(
            "arrays of objects that stay as their JSON text: {}; lines = \"…\" makes rows of one of them {instead}",
            quoted(&others)
        ));
    }
}
