//! Tried: reads files by a declaration as a sync would, and takes back what does not hold.

use crate::config::Config;
use crate::dispatch::describe::Looked;
use crate::error::SyncError;
use crate::feed::correction::place_and_reason;
use crate::feed::dataset::{Dataset, DatasetSettings};
use crate::feed::describe::draft::Draft;
use crate::feed::describe::name::FileName;
use crate::feed::describe::print::toml_text;
use crate::feed::layout::{Shapes, lacking_tables};
use crate::feed::row_format::RowFormat;
use crate::sink::tables::declared_shapes;
use crate::source::reader::Reader;
use crate::source::survey::survey;
use crate::sync::quarantine;
use crate::transform::table_rows::TableRows;
use crate::transform::transform;
use arrow_array::cast::AsArray;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A declaration that holds.
pub(super) struct Settled {
    pub draft: Draft,
    pub toml: String,
    /// A file that is refused all the same, and why.
    pub refusal: Option<(String, String)>,
}

/// What became of the rows of the files.
#[derive(Default)]
struct Tried {
    rejected: u64,
    read: u64,
    /// The first row that cannot be loaded.
    first_reject: Option<String>,
    /// Columns with values that do not fit, each with the first of them.
    rescued: BTreeMap<String, String>,
    refusal: Option<(String, String)>,
}

/// The draft, without what its files contradict. `rejected` is how many rows cannot be loaded
/// without any key or type.
pub(super) fn settled(
    config: &Config,
    group: &[Looked],
    mut draft: Draft,
    rejected: u64,
) -> Result<Settled, SyncError> {
    let is_matching = |dataset: &Dataset| {
        group.iter().all(|looked| dataset.route(&looked.file.path_text()).is_some())
    };
    // Each turn takes something back: a column's type at least.
    for _ in 0..draft.columns.len() + 4 {
        let dataset = declared(config, &draft)?;
        if !is_matching(&dataset) {
            draft.pattern = FileName::exact(&group[0].file.name_text());
            draft.has_market = false;
            continue;
        }
        let tried = match tried(config, group, &dataset) {
            Ok(tried) => tried,
            Err(SyncError::Damaged { reason, .. }) if !draft.key.is_empty() => {
                draft.drop_key(&reason);
                continue;
            }
            Err(SyncError::Damaged { reason, .. })
                if draft.columns.iter().any(|column| column.of_type.is_some()) =>
            {
                draft.drop_types(&reason);
                continue;
            }
            Err(error) => return Err(error),
        };
        if tried.rejected > rejected && !draft.key.is_empty() {
            draft.drop_key(tried.first_reject.as_deref().unwrap_or_default());
            continue;
        }
        if !tried.rescued.is_empty() {
            tried.rescued.iter().for_each(|(column, value)| draft.make_text(column, value));
            continue;
        }
        if let (true, Some(first)) = (tried.rejected > 0, &tried.first_reject) {
            draft.notes.push(format!(
                "{} of {} rows cannot be loaded: {first}",
                tried.rejected, tried.read
            ));
        }
        if let Some((_, reason)) = &tried.refusal {
            draft.notes.push(format!("as it is, the file is refused: {reason}"));
        }
        let toml = toml_text(&draft);
        return Ok(Settled { draft, toml, refusal: tried.refusal });
    }
    Err(SyncError::Internal(
        "no declaration was found that the file does not contradict".to_owned(),
    ))
}

/// What the configuration makes of the text of a draft.
fn declared(config: &Config, draft: &Draft) -> Result<Arc<Dataset>, SyncError> {
    #[derive(serde::Deserialize)]
    struct Declared {
        datasets: BTreeMap<String, DatasetSettings>,
    }
    let wrong = |reason: String| {
        SyncError::Internal(format!("the declaration that was found is none: {reason}"))
    };
    let declared: Declared =
        toml::from_str(&toml_text(draft)).map_err(|error| wrong(error.to_string()))?;
    let (name, settings) =
        declared.datasets.first_key_value().ok_or_else(|| wrong("it is empty".to_owned()))?;
    config.dataset_of(name, settings).map_err(wrong)
}

fn tried(config: &Config, group: &[Looked], dataset: &Dataset) -> Result<Tried, SyncError> {
    let mut tried = Tried::default();
    for looked in group {
        tried.read(config, looked, dataset)?;
    }
    Ok(tried)
}

impl Tried {
    /// Reads a file as a sync into an empty database would.
    fn read(
        &mut self,
        config: &Config,
        looked: &Looked,
        dataset: &Dataset,
    ) -> Result<(), SyncError> {
        let limits = &config.limits;
        let mut shapes: Shapes = declared_shapes();
        let text = looked.text(dataset, config)?;
        let (survey, mut layout) = survey(&text, dataset, &shapes, limits)?;
        if !matches!(survey.format.rows, RowFormat::Json) && survey.header != looked.header {
            return Err(SyncError::damaged("its header would not be found"));
        }
        quarantine::check_decimals(&survey, dataset, "")?;
        quarantine::check_rescued(&survey, &layout, dataset, config.rescued_max_percent)?;
        self.read += survey.rows_read;
        self.rejected += survey.rows_rejected;
        if self.first_reject.is_none() {
            let first = survey.first_faults.first();
            let shown = first.map(|row| {
                place_and_reason(row.number, row.fault.column.as_deref(), &row.fault.reason)
            });
            self.first_reject = shown;
        }
        if let Err(error) =
            quarantine::check_rejects(&survey, None, dataset, config.rejects_max_percent)
        {
            self.refusal = Some((looked.file.path_text(), error.to_string()));
            return Ok(());
        }
        for shape in lacking_tables(dataset, &shapes) {
            shapes.insert(shape.name.clone(), shape);
        }
        for change in layout.reconcile(dataset, &shapes) {
            let shape = shapes.get_mut(&change.table).expect("it was made above");
            shape.columns.retain(|column| column.name != change.column.name);
            shape.columns.push(change.column);
        }
        layout.adopt_kinds(dataset, &shapes);
        let start = crate::chunk::Position::START;
        let mut reader = Reader::new(&text.content, &layout, dataset, limits, &survey, start)?;
        while let Some(chunk) = reader.next_chunk()? {
            let projected = transform(chunk, survey.format.rows, &layout, dataset, "");
            self.take_rescued(&projected.records);
            projected.lines.iter().for_each(|lines| self.take_rescued(lines));
        }
        Ok(())
    }

    fn take_rescued(&mut self, rows: &TableRows) {
        let Some(rescued) = rows.batch.column_by_name("_rescued") else { return };
        for texts in rescued.as_string::<i32>().iter().flatten() {
            let texts: BTreeMap<String, String> = serde_json::from_str(texts).unwrap_or_default();
            for (column, text) in texts {
                self.rescued.entry(column).or_insert(text);
            }
        }
    }
}
