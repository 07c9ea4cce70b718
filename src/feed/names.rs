//! Names: the names of columns, and the names that databases or tidegate reserve.

use entity::TableShape;
use std::borrow::Cow;
use std::iter::once;
use unicode_normalization::UnicodeNormalization;

/// Longest column name, in bytes: what PostgreSQL keeps of an identifier.
pub const NAME_BYTES_MAX: usize = 63;

/// Columns that every table has; a file's column of such a name gets a suffix.
pub(super) const RESERVED: [&str; 3] = ["market", "line_no", "line_count"];

/// Names that one of the databases reserves; a file's column gets a suffix on all of them:
/// PostgreSQL's system columns (its manual, section 5.5), the number of a row on SQLite, and
/// InnoDB's own columns.
pub(super) const KEPT_BY_DATABASES: [&str; 11] = [
    "cmax",
    "cmin",
    "ctid",
    "db_roll_ptr",
    "db_row_id",
    "db_trx_id",
    "fts_doc_id",
    "rowid",
    "tableoid",
    "xmax",
    "xmin",
];

/// MariaDB and MySQL write names in at most three bytes a character, which ends with the Basic
/// Multilingual Plane.
pub const LAST_NAME_CHAR: char = '\u{ffff}';

/// A header's name as a column: letters composed, lower case, every run of other characters one
/// `_`, ends trimmed. Letters that not every database has in names are other characters.
pub fn column_name(raw_name: &str) -> String {
    let mut name = String::with_capacity(raw_name.len());
    for c in raw_name.nfc().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() && c <= LAST_NAME_CHAR {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    name.truncate(name.trim_end_matches('_').len());
    name
}

/// The same, or a name by the column's place if it has neither a letter nor a digit.
pub fn name_at(index: usize, raw_name: &str) -> String {
    match column_name(raw_name) {
        name if name.is_empty() => format!("column_{}", index + 1),
        name => name,
    }
}

/// The name by which the configuration speaks of a file's column: as [`column_name`], or, if it has
/// neither a letter nor a digit (`№`, `#`), as it is.
pub fn spoken_name(raw_name: &str) -> String {
    match column_name(raw_name) {
        name if name.is_empty() => raw_name.trim().to_owned(),
        name => name,
    }
}

/// The column that a name in the configuration means: as [`spoken_name`], with the suffix that a
/// file's column of that name gets.
pub fn declared_name(raw_name: &str) -> String {
    match spoken_name(raw_name) {
        name if RESERVED.contains(&name.as_str()) || KEPT_BY_DATABASES.contains(&name.as_str()) => {
            format!("{name}_2")
        }
        name => shortened(&name, ""),
    }
}

/// The name with its suffix, cut to what every database keeps.
pub fn shortened(name: &str, suffix: &str) -> String {
    let mut end = name.len().min(NAME_BYTES_MAX - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", name[..end].trim_end_matches('_'))
}

/// Whether a table has a column with another name that a database takes for this one.
pub(super) fn has_same_to_database(shape: &TableShape, name: &str) -> bool {
    let own = folded(name);
    // Names are lower case, so two of ASCII are the same only if they are equal.
    let others = shape
        .columns
        .iter()
        .filter(|column| column.name != name && !(name.is_ascii() && column.name.is_ascii()));
    others.into_iter().any(|column| folded(&column.name) == own)
}

/// A name without the differences that MariaDB ignores in names (its collation utf8mb3_general_ci,
/// compared letter by letter): accents of Latin, Greek and Cyrillic letters, and other forms of a
/// few of them.
pub(super) fn folded(name: &str) -> Cow<'_, str> {
    const FIRST_OTHER_SCRIPT: char = '\u{600}';
    if name.is_ascii() {
        return Cow::Borrowed(name);
    }
    let plain = |letter: char| match once(letter).nfd().next().unwrap_or(letter) {
        base if letter == 'й' || base >= FIRST_OTHER_SCRIPT => letter,
        'ß' | 'ſ' => 's',
        'ı' => 'i',
        'µ' => 'μ',
        'ϐ' => 'β',
        'ϑ' => 'θ',
        'ϰ' => 'κ',
        'ϖ' => 'π',
        'ϱ' => 'ρ',
        'ς' | 'ϲ' => 'σ',
        'ϕ' => 'φ',
        base => base,
    };
    Cow::Owned(name.chars().map(plain).collect())
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
            ("__proto__", "proto"),
            ("Pre\u{301}nom", "prénom"),
            ("𠮷野家", "野家"),
            ("𠮷 🅰 😀", ""),
            ("x\"; DROP TABLE orders; --", "x_drop_table_orders"),
            ("", ""),
        ] {
            assert_eq!(column_name(raw_name), expected);
        }
    }
}
