//! Number form: how the numbers of a column are written, as the configuration says and as files have shown.

use crate::feed::dataset::DatasetSettings;
use crate::feed::layout::declared_name;
use crate::values::currency::{Currencies, CurrencyCodes};
use crate::values::number::DecimalSign;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a dataset says of one column.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSettings {
    /// As the dataset's.
    #[serde(default)]
    pub decimal: String,
    /// More than the dataset's.
    #[serde(default)]
    pub currencies: CurrencyCodes,
}

/// How the numbers of a column are written, as files of a dataset and market have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberForm {
    /// What stands before decimals.
    pub decimal: Option<DecimalSign>,
    /// What stands beside each amount of a column that was found in files.
    pub currency: Option<String>,
    /// The file that showed it.
    pub file_id: i64,
}

/// The forms that are known, by column.
pub type NumberForms = BTreeMap<String, NumberForm>;

/// The sign that a `decimal` of the configuration names.
///
/// # Errors
///
/// When it is none.
pub fn decimal(place: &str, text: &str) -> Result<Option<DecimalSign>, String> {
    match text {
        "" | "auto" => Ok(None),
        text => DecimalSign::of(text)
            .map(Some)
            .ok_or_else(|| format!("{place}.decimal: `{text}` is not allowed; write one of `auto`, `.`, `,`")),
    }
}

/// Of each column that says something else than the dataset, what stands before its decimals.
pub(super) fn column_decimals(
    dataset: &str,
    settings: &DatasetSettings,
) -> Result<BTreeMap<String, Option<DecimalSign>>, String> {
    let columns = settings.columns.iter().filter(|(_, column)| !column.decimal.is_empty());
    let decimals = columns.map(|(name, column)| {
        Ok((declared_name(name), decimal(&format!("datasets.{dataset}.columns.{name}"), &column.decimal)?))
    });
    decimals.collect()
}

/// Of each column that says more than the dataset, its currencies.
pub(super) fn column_currencies(settings: &DatasetSettings) -> BTreeMap<String, Arc<Currencies>> {
    let columns = settings.columns.iter().filter(|(_, column)| !column.currencies.is_empty());
    let currencies = columns.map(|(name, column)| {
        let mut codes = settings.currencies.clone();
        codes.extend(column.currencies.clone());
        (declared_name(name), Arc::new(Currencies::new(&codes)))
    });
    currencies.collect()
}
