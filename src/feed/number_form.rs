//! Number form: how the numbers of a column are written, as the configuration says and as files
//! have shown.

use crate::values::number::DecimalSign;
use std::collections::BTreeMap;

/// How the numbers of a column are written, as files of a dataset and market have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberForm {
    /// What stands before decimals.
    pub decimal: Option<DecimalSign>,
    /// The sign that the column took from other columns of a file, where its own values proved
    /// none. Stored numbers were read by it, so later files are held to it as to a proof.
    pub taken: Option<DecimalSign>,
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
        text => DecimalSign::of(text).map(Some).ok_or_else(|| {
            format!("{place}.decimal: `{text}` is not allowed; write one of `auto`, `.`, `,`")
        }),
    }
}
