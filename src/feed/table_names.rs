//! Table names: which a dataset may give its tables.

use crate::feed::names::{LAST_NAME_CHAR, NAME_BYTES_MAX, column_name, shortened};
use crate::values::cell::hex;
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// Bytes of a digest that tell two names of files apart.
const DIGEST_BYTES: usize = 4;

/// Beginnings of names, and whose they are: `SQLite`'s (sqlite.org/lang_createtable.html),
/// PostgreSQL's for schemas and catalogs (its manual, section 5.10).
const KEPT: [(&str, &str); 3] =
    [("tidegate_", "tidegate"), ("sqlite_", "SQLite"), ("pg_", "PostgreSQL")];

/// Checks the names of a dataset's tables.
///
/// # Errors
///
/// Says which setting is wrong, and why.
pub(super) fn check(dataset: &str, table: &str, lines: Option<&str>) -> Result<(), String> {
    let refused = |setting: &str, name: &str, why: &str| {
        Err(format!("datasets.{dataset}.{setting}: `{name}` cannot be the name of a table: {why}"))
    };
    // What holds for every dataset is checked without a name.
    if let Some(why) = fault(table).filter(|_| !dataset.is_empty()) {
        return refused("table", table, &why);
    }
    let Some(lines) = lines else { return Ok(()) };
    if let Some(why) = fault(lines) {
        return refused("lines_table", lines, &why);
    }
    // Databases differ in whether case tells two tables apart.
    if lines.to_lowercase() == table.to_lowercase() {
        return refused("lines_table", lines, "the records have it; lines need one of their own");
    }
    Ok(())
}

/// Why not every database takes a name for a table.
fn fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("it is longer than {NAME_BYTES_MAX} bytes"));
    }
    let lower = name.to_lowercase();
    if let Some((prefix, owner)) = KEPT.into_iter().find(|(prefix, _)| lower.starts_with(prefix)) {
        return Some(format!("names that begin with `{prefix}` are {owner}'s own"));
    }
    (name.contains(|c: char| c > LAST_NAME_CHAR || c.is_control()) || name.ends_with(' '))
        .then(|| "not every database takes all of its characters".to_owned())
}

/// The name of a table for a file of this stem, that no query needs quotes for. Stems that differ
/// in more than case and punctuation have different names: where one is too long, or has letters
/// or signs that not every database has in names, the name ends with a digest of it.
pub(crate) fn of_file(stem: &str) -> String {
    let is_anothers = |name: &str| KEPT.iter().any(|(prefix, _)| name.starts_with(prefix));
    let plain = column_name(stem);
    let name = match plain.as_str() {
        "" => "file".to_owned(),
        name if !name.starts_with(char::is_alphabetic) || is_anothers(name) => {
            format!("file_{name}")
        }
        name => name.to_owned(),
    };
    let has_lost =
        plain.is_empty() && !stem.trim().is_empty() || stem.chars().any(|c| c > LAST_NAME_CHAR);
    if !has_lost && name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let told = if has_lost { stem.nfc().collect::<String>().to_lowercase() } else { plain };
    shortened(&name, &format!("_{}", hex(&Sha256::digest(told)[..DIGEST_BYTES])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_a_file_is_called_becomes_a_name() {
        for (stem, name) in [
            ("Sales 2024", "sales_2024"),
            ("2024 sales", "file_2024_sales"),
            ("PG stats", "file_pg_stats"),
            ("tidegate 1", "file_tidegate_1"),
            ("Sales — 2024…", "sales_2024"),
        ] {
            assert_eq!(of_file(stem), name);
        }
    }

    #[test]
    fn files_of_different_names_get_different_tables() {
        let long = "n".repeat(NAME_BYTES_MAX);
        let stems = [
            "…",
            "---",
            "😀",
            "🅰",
            "sales",
            "sales 😀",
            "sales 🅰",
            "野家",
            "𠮷野家",
            "𡈽野家",
            &long,
            &format!("{long} one"),
            &format!("{long} two"),
            &format!("9{long}"),
        ];
        let names: HashSet<String> = stems.iter().map(|stem| of_file(stem)).collect();
        assert_eq!(names.len(), stems.len(), "{names:?}");
        assert!(names.iter().all(|name| fault(name).is_none()), "{names:?}");
        assert_eq!(of_file("SALES 😀"), of_file("sales 😀"));
        assert_eq!(of_file(&format!("{long} One")), of_file(&format!("{long}-one")));
    }

    #[test]
    fn only_names_that_every_database_takes_are_names() {
        assert_eq!(check("sales", "Sales 2024", Some("sales_lines")), Ok(()));
        for (table, lines, why) in [
            ("tidegate_files", None, "are tidegate's own"),
            ("SQLite_x", None, "are SQLite's own"),
            ("sales", Some(""), "it is empty"),
            ("sales", Some("Sales"), "lines need one of their own"),
            ("a\nb", None, "all of its characters"),
            (&*"x".repeat(64), None, "longer than 63 bytes"),
        ] {
            let error = check("sales", table, lines).expect_err(table);
            assert!(error.contains(why), "{error}");
        }
    }
}
