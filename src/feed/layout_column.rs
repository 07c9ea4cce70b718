//! Layout column: one column of a file, and its meaning for its table.

use crate::feed::column::DeclaredColumn;
use crate::feed::dataset::{Dataset, OnTypeChange, Owner};
use crate::feed::declaration::ColumnType;
use crate::feed::inference::Inference;
use crate::feed::json_settings::JsonSettings;
use crate::values::cell::{NullTokens, trimmed, unfit_text};
use crate::values::dates::MomentRules;
use crate::values::identifier::{visible, without_excel};
use crate::values::number::NumberRules;
use entity::{ColumnShape, Kind};
use regex::Regex;
use std::sync::Arc;

/// The column that says which currency the amounts of a row are in.
const CURRENCY_SYMBOL: &str = "currency_symbol";

/// A part of what identifies the record: a column of the file, or of a table that takes its values
/// from one which feeds another part, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// Index of the file's column.
    pub source: usize,
    /// Index of the copy, if it is one.
    pub(super) copy: Option<usize>,
}

/// Where a file's column goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is this part of what identifies the record.
    Key(usize),
    /// It is a column of that table.
    Column(Owner),
    /// An unnamed trailing column: padding.
    Padding,
    /// A note that tidegate wrote beside rejected rows; not data.
    Note,
    /// It has a name, but is not stored.
    Ignored,
}

/// One column of a file.
#[derive(Clone, Debug)]
pub struct LayoutColumn {
    /// Name in the file.
    pub raw_name: String,
    /// Name in the table.
    pub name: String,
    /// Name in the file, as the configuration speaks of it.
    pub own_name: String,
    /// Where it goes.
    pub role: Role,
    /// Its kind; `None` until the data shows it.
    pub kind: Option<Kind>,
    /// How its numbers are written.
    pub rules: NumberRules,
    /// Whether the file has two contradicting currencies in it, and nothing says which one is
    /// right.
    pub has_two_currencies: bool,
    /// The currency beside its amounts so far, if the column was found in files.
    pub currency: Option<String>,
    /// What happens to a value that does not fit; `None` while no table has the column.
    pub on_type_change: Option<OnTypeChange>,
    /// How its days and moments are written.
    pub moments: Arc<MomentRules>,
    /// Its cells that mean "no value".
    pub null_tokens: Arc<NullTokens>,
    /// What is declared of it.
    pub declared: Option<Arc<DeclaredColumn>>,
    /// Whether its delimiters may stand unquoted.
    pub swallows: bool,
    /// Whether its own name was taken.
    pub is_renamed: bool,
}

impl LayoutColumn {
    /// Collects what the values have in common, if they decide the kind of the column.
    pub fn inference(&self) -> Option<Inference> {
        let Role::Column(_) = self.role else { return None };
        let is_open = self.on_type_change.is_none_or(|wanted| wanted == OnTypeChange::Widen);
        is_open.then(|| Inference::new(self))
    }

    /// Pattern of its values, for the repair of shifted rows.
    pub fn form(&self) -> Option<&Regex> {
        self.declared.as_ref()?.form.as_ref()
    }

    /// Whether each record is to have a value in it.
    pub fn is_required(&self) -> bool {
        self.declared.as_ref().is_some_and(|declared| declared.rules.required)
    }

    /// Whether its cells are read without special rules: no declaration changes them, and moments
    /// are ISO and UTC.
    pub fn is_plain(&self) -> bool {
        let rewrites = self.declared.as_ref().is_some_and(|declared| declared.rewrites());
        !rewrites && !self.is_boolean() && self.moments.is_iso_utc()
    }

    /// Whether it holds yes or no.
    pub fn is_boolean(&self) -> bool {
        self.declared
            .as_ref()
            .is_some_and(|declared| declared.column_type == Some(ColumnType::Boolean))
    }

    /// The meaning of a cell: the part that is taken, after `map`; `None` for "no value".
    pub fn meaning<'c>(&'c self, cell: &'c str) -> Option<&'c str> {
        if self.null_tokens.matches(cell) {
            return None;
        }
        // Nothing that is declared makes a value of it.
        if unfit_text(cell).is_some() {
            return Some(cell);
        }
        let Some(declared) = self.declared.as_ref().filter(|declared| declared.rewrites()) else {
            return Some(cell);
        };
        let is_identifier =
            matches!(self.role, Role::Key(_)) || self.kind == Some(Kind::Identifier);
        let meaning = declared.meaning(if is_identifier {
            without_excel(visible(cell))
        } else {
            trimmed(cell)
        });
        (!meaning.is_empty() && !self.null_tokens.matches(meaning)).then_some(meaning)
    }

    /// Whether only the first row of an object with lines has it: it belongs to the record, and is
    /// not a member of lines.
    pub fn is_of_first_row(&self, json: &JsonSettings) -> bool {
        self.role == Role::Column(Owner::Record) && !json.is_of_lines(&self.raw_name)
    }

    /// Whether its values are numbers.
    pub const fn holds_numbers(&self) -> bool {
        matches!(self.role, Role::Column(_))
            && matches!(self.kind, Some(Kind::Integer | Kind::Decimal | Kind::Double))
    }

    /// Whether it says which currency the amounts of its row are in.
    pub fn is_currency_symbol(&self) -> bool {
        matches!(self.role, Role::Column(_)) && self.name == CURRENCY_SYMBOL
    }

    /// Whether a value that does not fit cannot be loaded.
    pub fn is_strict(&self) -> bool {
        self.on_type_change == Some(OnTypeChange::Reject)
    }

    /// Whether the column is to be widened for a value that does not fit.
    pub fn is_widened(&self) -> bool {
        self.on_type_change == Some(OnTypeChange::Widen)
    }

    /// Takes over what the table says of the column.
    pub(super) fn adopt(&mut self, stored: &ColumnShape, dataset: &Dataset) {
        // A column without any value yet takes its kind from the first values.
        self.kind = (!stored.is_empty).then_some(stored.kind);
        self.rules.is_declared = stored.is_declared;
        self.on_type_change = Some(dataset.on_type_change(stored));
        self.adopt_declaration(dataset);
    }

    /// Takes over the declared type. Values that do not fit it are rescued, unless something else
    /// is declared.
    pub(super) fn adopt_declaration(&mut self, dataset: &Dataset) {
        let Some(kind) = self.declared.as_ref().and_then(|declared| declared.kind()) else {
            return;
        };
        self.kind = Some(kind);
        self.rules.is_declared = true;
        self.on_type_change = Some(dataset.on_misfit());
    }
}

impl LayoutColumn {
    pub(super) fn without_data(raw_name: &str, role: Role) -> Self {
        Self {
            raw_name: raw_name.to_owned(),
            name: String::new(),
            own_name: String::new(),
            role,
            kind: None,
            rules: NumberRules::default(),
            has_two_currencies: false,
            currency: None,
            on_type_change: None,
            moments: Arc::default(),
            null_tokens: Arc::new(NullTokens::new([])),
            declared: None,
            swallows: false,
            is_renamed: false,
        }
    }
}
