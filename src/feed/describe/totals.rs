//! Totals: rows at the end of a file that sum up the others and are no data.

use regex::Regex;
use std::sync::LazyLock;

/// Rows at the end that are asked.
pub const LAST_ROWS: usize = 3;

/// Longest cell that is taken as a whole for the pattern of such rows.
const CELL_CHARS_MAX: usize = 40;

static WORD: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"(?i)^(?:(?:grand|report|sub|order|running)[ -]?)?(?:totals?|sums?|summe|summen|gesamt|gesamtsumme|zwischensumme|endsumme|totale|totaux|suma|somme|итого|всего|合計|总计|toplam)(?:$|\P{Alphabetic})";
    Regex::new(words).expect("the pattern is a constant")
});

/// A row that may be a total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalRow {
    /// The column in which it says so.
    pub column: usize,
    /// The pattern of what it says.
    pub pattern: String,
}

impl TotalRow {
    /// What a row is, by the first of its cells that says something.
    pub fn of(cells: &[&str]) -> Option<Self> {
        let (column, cell) = cells.iter().map(|cell| cell.trim()).enumerate().find(|(_, cell)| !cell.is_empty())?;
        WORD.is_match(cell).then(|| Self { column, pattern: pattern(cell) })
    }

    /// Whether another row's cell in the column says the same.
    pub fn matches(&self, cells: &[&str]) -> bool {
        let pattern = Regex::new(&self.pattern);
        cells.get(self.column).is_some_and(|cell| pattern.is_ok_and(|pattern| pattern.is_match(cell.trim())))
    }
}

/// The whole cell if it is short and holds no number, which would be another one in the next file; else the word.
fn pattern(cell: &str) -> String {
    let is_fixed = cell.chars().count() <= CELL_CHARS_MAX && !cell.contains(|c: char| c.is_numeric());
    match WORD.find(cell) {
        Some(word) if !is_fixed => {
            let word = word.as_str().trim_end_matches(|c: char| !c.is_alphabetic());
            format!(r"(?i)^{}\b", regex::escape(word))
        }
        _ => format!("(?i)^{}$", regex::escape(cell)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_total_makes_the_pattern() {
        let pattern = |cells: &[&str]| TotalRow::of(cells).map(|row| (row.column, row.pattern));
        assert_eq!(pattern(&["", "Total", "5"]), Some((1, "(?i)^Total$".to_owned())));
        assert_eq!(pattern(&["Grand total: 12,5"]), Some((0, r"(?i)^Grand total\b".to_owned())));
        assert_eq!(pattern(&["Summe", ""]), Some((0, "(?i)^Summe$".to_owned())));
        for none in [&["Totally", "5"][..], &["5", "Total"], &["Sumatra"], &[""]] {
            assert_eq!(pattern(none), None, "{none:?}");
        }
    }
}
