//! Layout: which column of a file is which column of which table. Column names are made here, clashes
//! get their suffix here, and what the tables lack becomes a [`SchemaChange`] here.

use crate::dataset::{Dataset, Owner};
use crate::moment::parse_moment;
use crate::number::{DECIMAL_SCALE, count_digits, parse_decimal, parse_double, parse_integer};
pub use entity::{ColumnShape, Kind, TableShape, shape::IDENTIFIER_CHARS_MAX};
use regex::Regex;
use std::collections::{BTreeMap, HashSet};

/// Longest column name, in bytes: what PostgreSQL keeps of an identifier.
const NAME_BYTES_MAX: usize = 63;

/// Columns every table has for itself; a file's column of that name gets a suffix.
const RESERVED: [&str; 3] = ["market", "line_no", "line_count"];

/// The shapes of all tables, by name.
pub type Shapes = BTreeMap<String, TableShape>;

/// Where a file's column goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It identifies the record.
    Key,
    /// It is a column of that table.
    Column(Owner),
    /// An unnamed trailing column: padding.
    Padding,
}

/// One column of a file.
#[derive(Clone, Debug)]
pub struct LayoutColumn {
    /// Name in the file.
    pub raw_name: String,
    /// Name in the table.
    pub name: String,
    /// Where it goes.
    pub role: Role,
    /// What it holds; `None` until the data has said so.
    pub kind: Option<Kind>,
    /// Whether its delimiters may stand unquoted.
    pub swallows: bool,
    /// Pattern of its values.
    pub form: Option<Regex>,
    /// Pattern whose first group is the value.
    pub extract: Option<Regex>,
    /// Whether its own name was taken.
    pub is_renamed: bool,
}

/// The columns of a file, in the file's order.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Every column, padding included.
    pub columns: Vec<LayoutColumn>,
    taken: HashSet<String>,
}

/// A column that a table needs before a file's rows can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// The table.
    pub table: String,
    /// The column to add.
    pub column: ColumnShape,
    /// The name in the file, when a clash changed it.
    pub renamed_from: Option<String>,
}

impl Layout {
    /// A layout without columns: JSON files name theirs as they go.
    pub fn empty() -> Self {
        Self { columns: Vec::new(), taken: RESERVED.map(str::to_owned).into() }
    }

    /// The layout of a CSV header.
    pub fn of_header(header: &[String], dataset: &Dataset, shapes: &Shapes) -> Self {
        let mut layout = Self::empty();
        let named = header.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last + 1);
        for raw_name in &header[..named] {
            layout.push(raw_name, dataset, shapes);
        }
        for raw_name in &header[named..] {
            layout.columns.push(LayoutColumn {
                raw_name: raw_name.clone(),
                name: String::new(),
                role: Role::Padding,
                kind: None,
                swallows: false,
                form: None,
                extract: None,
                is_renamed: false,
            });
        }
        layout
    }

    /// Adds a column and returns its index.
    pub fn push(&mut self, raw_name: &str, dataset: &Dataset, shapes: &Shapes) -> usize {
        let own_name = match column_name(raw_name) {
            name if name.is_empty() => format!("column_{}", self.columns.len() + 1),
            name => name,
        };
        let name = self.free_name(&own_name);
        let role = if name == dataset.key { Role::Key } else { Role::Column(dataset.owner(&name)) };
        let table = match role {
            Role::Column(owner) => dataset.table_of(owner),
            Role::Key | Role::Padding => &dataset.table,
        };
        let kind = shapes.get(table).and_then(|shape| shape.column(&name)).map(|column| column.kind);
        self.columns.push(LayoutColumn {
            raw_name: raw_name.to_owned(),
            role,
            kind,
            swallows: dataset.swallows(&name),
            form: dataset.form(&name).cloned(),
            extract: dataset.extract(&name).cloned(),
            is_renamed: name != own_name,
            name,
        });
        self.columns.len() - 1
    }

    /// Index of the column that identifies the record.
    pub fn key(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.role == Role::Key)
    }

    /// Number of columns that are not padding.
    pub fn named(&self) -> usize {
        self.columns.iter().filter(|column| column.role != Role::Padding).count()
    }

    /// What the tables lack, once every kind is known.
    pub fn reconcile(&self, dataset: &Dataset, shapes: &Shapes) -> Vec<SchemaChange> {
        let mut changes = Vec::new();
        for column in &self.columns {
            let Role::Column(owner) = column.role else { continue };
            let table = dataset.table_of(owner);
            if shapes.get(table).is_some_and(|shape| shape.column(&column.name).is_some()) {
                continue;
            }
            changes.push(SchemaChange {
                table: table.to_owned(),
                column: ColumnShape {
                    name: column.name.clone(),
                    kind: column.kind.unwrap_or(Kind::Text),
                    nullable: true,
                },
                // PostgreSQL stores no NUL in text.
                renamed_from: column.is_renamed.then(|| column.raw_name.replace('\0', "\\x00")),
            });
        }
        changes
    }

    /// Takes the kinds that the columns have in their tables.
    pub fn adopt_kinds(&mut self, dataset: &Dataset, shapes: &Shapes) {
        for column in &mut self.columns {
            let Role::Column(owner) = column.role else { continue };
            let stored = shapes.get(dataset.table_of(owner)).and_then(|shape| shape.column(&column.name));
            column.kind = stored.map(|stored| stored.kind).or(column.kind);
        }
    }

    fn free_name(&mut self, own_name: &str) -> String {
        let mut name = shortened(own_name, "");
        let mut suffix = 2;
        while !self.taken.insert(name.clone()) {
            name = shortened(own_name, &format!("_{suffix}"));
            suffix += 1;
        }
        name
    }
}

/// A header's name as a column: lower case, every run of other characters one `_`, ends trimmed.
pub fn column_name(raw_name: &str) -> String {
    let mut name = String::with_capacity(raw_name.len());
    for c in raw_name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

/// The name with its suffix, cut to what every database keeps.
pub fn shortened(name: &str, suffix: &str) -> String {
    let mut end = name.len().min(NAME_BYTES_MAX - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", name[..end].trim_end_matches('_'))
}

/// Significant digits that a binary floating point number of 64 bits gives back.
const DOUBLE_DIGITS_MAX: u32 = 17;

/// What the values of a column that nobody declared have in common, as far as they were seen.
///
/// A kind is only taken when it holds all that the values say: what looks like a number and may be a name,
/// such as `007`, `L7` or `+254700000000`, is text.
#[derive(Clone, Debug)]
pub struct Inference {
    is_identifier: bool,
    may_be_integer: bool,
    may_be_decimal: bool,
    may_be_double: bool,
    may_be_time: bool,
    has_values: bool,
    /// The letters that stand beside every amount.
    currency: Option<String>,
}

impl Inference {
    /// Nothing seen yet. Names of identifiers are text whatever their values look like.
    pub fn new(name: &str) -> Self {
        let is_identifier = name == "id" || name == "sku" || name.ends_with("_id");
        Self {
            is_identifier,
            may_be_integer: true,
            may_be_decimal: true,
            may_be_double: true,
            may_be_time: true,
            has_values: false,
            currency: None,
        }
    }

    /// Takes one value that is not a null token into account.
    pub fn observe(&mut self, value: &str) {
        let value = value.trim();
        self.may_be_time &= value.len() >= 10 && parse_moment(value).is_some();
        let is_plain = is_plain_number(value);
        let is_number = is_plain || self.is_amount(value);
        let (places, significant) = count_digits(value).unwrap_or_default();
        self.may_be_integer &= is_plain && parse_integer(value).is_some();
        self.may_be_decimal &= is_number && places <= DECIMAL_SCALE && parse_decimal(value).is_some();
        self.may_be_double &= is_plain && significant <= DOUBLE_DIGITS_MAX && parse_double(value).is_some();
        self.has_values = true;
    }

    /// The narrowest kind that holds every value seen; text when there was none.
    pub fn kind(&self) -> Kind {
        match self {
            _ if self.is_identifier => Kind::Identifier,
            _ if !self.has_values => Kind::Text,
            _ if self.may_be_integer => Kind::Integer,
            _ if self.may_be_decimal => Kind::Decimal,
            _ if self.may_be_double => Kind::Double,
            _ if self.may_be_time => Kind::Time,
            _ => Kind::Text,
        }
    }

    /// `KSh 10.00`: letters apart from a number with two decimals, and the same letters in every value, so
    /// that a column without them says as much.
    fn is_amount(&mut self, value: &str) -> bool {
        let Some((one, other)) = value.split_once(' ') else { return false };
        let is_letters = |text: &str| text.chars().all(|c| c.is_alphabetic() || c == '.');
        let (currency, number) = if is_letters(one) { (one, other) } else { (other, one) };
        let has_cents = number.split_once('.').is_some_and(|(_, cents)| cents.len() == 2);
        if !is_letters(currency) || !has_cents || !is_plain_number(number) {
            return false;
        }
        if !self.has_values {
            self.currency = Some(currency.to_owned());
        }
        self.currency.as_deref() == Some(currency)
    }
}

/// Whether nothing but the value is lost when a text that can be read as a number is stored as one.
fn is_plain_number(value: &str) -> bool {
    let is_code = value.len() > 1 && value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit());
    !is_code && !value.starts_with('+') && !value.contains(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (raw_name, expected) in [
            ("Distance (in km)", "distance_in_km"),
            ("Total_Time_Taken(min)", "total_time_taken_min"),
            ("Number of Employees", "number_of_employees"),
            ("__x--", "x"),
            ("x\"; DROP TABLE orders; --", "x_drop_table_orders"),
            ("", ""),
        ] {
            assert_eq!(column_name(raw_name), expected);
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let mut layout = Layout::empty();
        let long = "é".repeat(60);
        let (first, second) = (layout.free_name(&long), layout.free_name(&long));
        assert!(first.len() <= NAME_BYTES_MAX && second.len() <= NAME_BYTES_MAX);
        assert!(second.ends_with("_2") && first != second);
    }

    #[test]
    fn kinds_are_inferred_from_every_value() {
        let kind = |name: &str, values: &[&str]| {
            let mut inference = Inference::new(name);
            values.iter().for_each(|value| inference.observe(value));
            inference.kind()
        };
        assert_eq!(kind("points", &["1", "20"]), Kind::Integer);
        assert_eq!(kind("points", &["1", "2.5"]), Kind::Decimal);
        assert_eq!(kind("points", &["1", "abc"]), Kind::Text);
        assert_eq!(kind("postcode", &["00123", "00124"]), Kind::Text);
        assert_eq!(kind("shelf", &["L7", "L8"]), Kind::Text);
        assert_eq!(kind("room", &["Room 5", "Room 6"]), Kind::Text);
        assert_eq!(kind("phone", &["+254700000000"]), Kind::Text);
        assert_eq!(kind("code", &["1E5"]), Kind::Text);
        assert_eq!(kind("barcode", &["12345678901234567890"]), Kind::Text);
        assert_eq!(kind("latitude", &["-1.2611134", "36"]), Kind::Double);
        assert_eq!(kind("fee", &["KSh 10.00", "KSh 1,250.50"]), Kind::Decimal);
        assert_eq!(kind("fee", &["₦ 10", "₦ 0.5"]), Kind::Decimal);
        assert_eq!(kind("fee", &["KSh 10.00", "USD 10.00"]), Kind::Text);
        assert_eq!(kind("fee", &["10.00", "KSh 10.00"]), Kind::Text);
        assert_eq!(kind("at", &["2022-02-17T16:36:27Z"]), Kind::Time);
        assert_eq!(kind("voucher_id", &["1"]), Kind::Identifier);
        assert_eq!(kind("empty", &[]), Kind::Text);
    }
}
