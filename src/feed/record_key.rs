//! Record key: the column or columns that identify a record within its market.
//!
//! A table has each part of a key in a column of its own. Elsewhere (in a chunk, in the ledger, in
//! messages) a key is one text: the text of its only column, or a JSON array of the texts of
//! several columns. Only this file makes and splits such texts.

use crate::feed::layout::{column_name, declared_name};
use entity::{ROW_HASH, TableShape};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::{Display, Formatter};

/// Columns of a key: an index of MySQL has room for 3072 bytes, which are four identifiers and a
/// number. The first of them is the market, and the number is that of a line.
pub const KEY_COLUMNS_MAX: usize = 3;

/// Longest text of a key. An index of PostgreSQL has room for 2704 bytes, of which the market may
/// need 764, and the frame and the number of a line 51. One or two columns of usual signs never get
/// there.
pub const KEY_BYTES_MAX: usize = 1800;

/// The columns that identify a record within a market, in the order in which tables have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumns(Vec<String>);

impl KeyColumns {
    /// The columns that a dataset declares; without any, each distinct row is a record.
    ///
    /// # Errors
    ///
    /// Says which setting is wrong and why.
    pub fn declared(dataset: &str, names: &[String]) -> Result<Self, String> {
        if let [] | [""] = names.iter().map(|name| name.trim()).collect::<Vec<_>>().as_slice() {
            return Ok(Self::row_hash());
        }
        let columns: Vec<String> = names.iter().map(|name| declared_name(name)).collect();
        let mut seen = HashSet::new();
        for (column, name) in columns.iter().zip(names) {
            if column_name(column).is_empty() {
                let hint = match name.trim() {
                    "" => "",
                    _ => " of a table; declare one that takes its values `from` it",
                };
                return Err(format!(
                    "datasets.{dataset}.key: `{name}` is no name of a column{hint}"
                ));
            }
            if !seen.insert(column) {
                return Err(format!("datasets.{dataset}.key names the column `{column}` twice"));
            }
        }
        if columns.len() > KEY_COLUMNS_MAX {
            return Err(format!(
                "datasets.{dataset}.key names {} columns, and at most {KEY_COLUMNS_MAX} are possible: the databases' \
                 indexes have room for no more",
                columns.len()
            ));
        }
        Ok(Self(columns))
    }

    /// The key of a dataset in which each distinct row is a record.
    pub fn row_hash() -> Self {
        Self::one(ROW_HASH)
    }

    /// A key of one column.
    pub fn one(column: &str) -> Self {
        Self(vec![column.to_owned()])
    }

    /// The key of a table with a row per record.
    pub fn of_table(shape: &TableShape) -> Self {
        Self(shape.key.iter().filter(|column| *column != "market").cloned().collect())
    }

    /// Whether there is no key, so that each distinct row is a record.
    pub fn is_row_hash(&self) -> bool {
        self.0 == [ROW_HASH]
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Which part of the key a column is.
    pub fn part(&self, column: &str) -> Option<usize> {
        self.0.iter().position(|name| name == column)
    }

    /// Whether a column is part of the key.
    pub fn contains(&self, column: &str) -> bool {
        self.part(column).is_some()
    }

    /// The first of the columns that these names lack.
    pub fn lacking_in(&self, names: &[String]) -> Option<&String> {
        self.0.iter().find(|name| !names.contains(name))
    }

    /// The parts of a key, one of each column.
    pub fn split<'k>(&self, key: &'k str) -> Vec<Cow<'k, str>> {
        split(key, self.0.len())
    }
}

impl Display for KeyColumns {
    /// `order_no, line`
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.join(", "))
    }
}

/// The text of a key, from its parts in the order of its columns.
///
/// # Errors
///
/// That of the first part that has one.
pub fn join<E>(parts: impl IntoIterator<Item = Result<String, E>>) -> Result<String, E> {
    let mut parts = parts.into_iter();
    let first = parts.next().expect("a key has a column")?;
    let Some(second) = parts.next() else { return Ok(first) };
    let mut all = vec![first, second?];
    for part in parts {
        all.push(part?);
    }
    Ok(serde_json::to_string(&all).expect("texts are JSON"))
}

/// The parts of a key of this many columns.
pub fn split(key: &str, columns: usize) -> Vec<Cow<'_, str>> {
    if columns == 1 {
        return vec![Cow::Borrowed(key)];
    }
    let parts: Vec<String> =
        serde_json::from_str(key).expect("a key of several columns was made by `join`");
    parts.into_iter().map(Cow::Owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(parts: &[&str]) -> String {
        let parts = parts.iter().map(|part| Ok::<_, ()>((*part).to_owned()));
        join(parts).expect("every part is known")
    }

    fn declared(names: &[&str]) -> Result<KeyColumns, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        KeyColumns::declared("orders", &names)
    }

    #[test]
    fn a_key_of_one_column_is_its_text() {
        for text in ["A-1", "[\"A\",\"1\"]", "", "ключ"] {
            assert_eq!(joined(&[text]), text);
            assert_eq!(split(text, 1), [text]);
        }
    }

    #[test]
    fn a_key_of_several_columns_is_a_list_that_no_other_key_has() {
        assert_eq!(joined(&["A", "1"]), r#"["A","1"]"#);
        let keys: [&[&str]; 7] = [
            &["a,b", "c"],
            &["a", "b,c"],
            &["a\",\"b", "c"],
            &["a", "b\",\"c"],
            &["[\"x\"]", "\\\" {}"],
            &["é 𠮷\u{7}", "e\u{301}"],
            &["a", "b", "c"],
        ];
        let texts: HashSet<String> = keys.iter().map(|parts| joined(parts)).collect();
        assert_eq!(texts.len(), keys.len());
        for parts in keys {
            assert_eq!(split(&joined(parts), parts.len()), parts);
        }
    }

    #[test]
    fn the_first_faulty_part_is_what_a_key_lacks() {
        assert_eq!(join([Ok("a".to_owned()), Err("second"), Err("third")]), Err("second"));
        assert_eq!(join([Err("first"), Ok("b".to_owned())]), Err("first"));
    }

    #[test]
    fn a_declared_key_names_up_to_three_different_columns() {
        assert_eq!(
            declared(&["Order No", "line_no"]).map(|key| key.to_string()),
            Ok("order_no, line_no_2".to_owned())
        );
        assert!(declared(&[]).is_ok_and(|key| key.is_row_hash()));
        assert!(declared(&[""]).is_ok_and(|key| key.is_row_hash()));
        assert!(declared(&["a", "b", "c"]).is_ok());
        for (names, said) in [
            (&["a", "b", "c", "d"][..], "at most 3"),
            (&["a", "A"][..], "`a` twice"),
            (&["a", ""][..], "`` is no name"),
            (&["--"][..], "`--` is no name"),
        ] {
            let error = declared(names).expect_err("it is wrong");
            assert!(error.starts_with("datasets.orders.key") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn the_longest_key_of_two_columns_of_any_letters_is_short_enough() {
        let longest = "𠮷".repeat(entity::IDENTIFIER_CHARS_MAX);
        assert!(joined(&[&longest, &longest]).len() <= KEY_BYTES_MAX);
    }
}
