//! Draft: the declaration of a dataset as it is going to be printed, with what is said beside it.

use crate::feed::declaration::{ColumnType, Owner};
use crate::feed::json_settings::JsonSettings;
use crate::values::number::DecimalSign;
use serde::Serialize;

/// A declaration with its comments.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Name of the dataset and its table.
    pub name: String,
    /// What is said above all of it.
    pub notes: Vec<String>,
    /// The pattern of its files' paths.
    pub pattern: String,
    /// Whether that captures a market.
    pub has_market: bool,
    /// Names by which its header is found below other rows.
    pub header_has: Vec<String>,
    /// Names that might be `header_has`.
    pub header_names: Vec<String>,
    /// Columns of the key; none, each distinct row is a record.
    pub key: Vec<String>,
    /// What is said of the key.
    pub key_notes: Vec<String>,
    /// The table of lines, where records have lines.
    pub lines_table: Option<String>,
    /// Where a JSON document has its records, and they their lines.
    pub json: JsonSettings,
    /// What is said of that.
    pub json_notes: Vec<String>,
    /// Encodings to be tried in turn, if they must be declared.
    pub encodings: Vec<String>,
    /// What is said of the encoding.
    pub encoding_notes: Vec<String>,
    /// What stands before decimals in all columns that prove it.
    pub decimal: Option<DecimalSign>,
    /// What is said of decimals.
    pub decimal_notes: Vec<String>,
    /// Columns and the patterns of what stands in them where a row is no data.
    pub no_rows: Vec<(String, String)>,
    /// The columns, in the file's order.
    pub columns: Vec<DraftColumn>,
}

/// What a draft says of one column.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DraftColumn {
    /// Name in the table.
    pub name: String,
    /// Name in the file; of members of JSON objects their path.
    pub from: String,
    /// What it holds, where its values prove that.
    #[serde(rename = "type")]
    pub of_type: Option<ColumnType>,
    /// How its days are written, if not as ISO says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<String>,
    /// What stands before its decimals, if other columns prove another sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal: Option<DecimalSign>,
    /// Which table it goes to, where records have lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Owner>,
    /// Two values.
    pub examples: Vec<String>,
    /// Cells with a value.
    pub values: u64,
    /// Cells without one.
    pub empty: u64,
    /// What the values prove.
    pub proves: Vec<String>,
    /// What they leave open, and how to say it.
    pub open: Vec<String>,
    /// Whether a declaration can name it: another column before it may have the same name.
    #[serde(skip)]
    pub is_named_by_another: bool,
    /// Whether it is part of the key.
    pub is_key: bool,
}

impl Draft {
    /// Leaves the key out, and with it lines: each distinct row is a record.
    pub fn drop_key(&mut self, reason: &str) {
        self.drop_lines();
        self.key.clear();
        self.key_notes = vec![format!("no key: {reason}; each distinct row is a record")];
        self.columns.iter_mut().for_each(|column| column.is_key = false);
    }

    /// Leaves the table of lines out.
    pub fn drop_lines(&mut self) {
        self.lines_table = None;
        self.json.lines = None;
        self.columns.iter_mut().for_each(|column| column.of = None);
    }

    /// Makes a column text because of values that do not fit what was found.
    pub fn make_text(&mut self, column: &str, value: &str) {
        if let Some(column) = self.columns.iter_mut().find(|own| own.name == column) {
            let type_name = column.of_type.map_or("its type", ColumnType::name);
            column.open =
                vec![format!("{} does not fit {type_name}, so it stays text", excerpt(value))];
            column.proves.clear();
            column.of_type = Some(ColumnType::Text);
            column.dates = None;
            column.decimal = None;
        }
    }

    /// Says nothing of what columns hold.
    pub fn drop_types(&mut self, reason: &str) {
        self.notes.push(format!(
            "no types are declared, because then the file would be refused: {reason}"
        ));
        self.decimal = None;
        for column in &mut self.columns {
            column.of_type = None;
            column.dates = None;
            column.decimal = None;
            column.proves.clear();
        }
    }
}

/// As much of a value as a comment shows, in quotes.
pub fn excerpt(value: &str) -> String {
    const CHARS_MAX: usize = 40;
    let mut text: String = value.chars().take(CHARS_MAX).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    crate::feed::describe::print::toml_string(&text)
}
