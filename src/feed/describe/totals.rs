//! Totals: rows at the end of a file that sum up the others, or end the report, and are not data.

use regex::Regex;
use std::sync::LazyLock;

/// Rows at the end that are asked.
pub const LAST_ROWS: usize = 3;

/// Longest cell that is taken as a whole for the pattern of such rows.
const CELL_CHARS_MAX: usize = 40;

/// Fewest letters of a pattern: fewer may stand in rows of data.
const LETTERS_MIN: usize = 3;

static WORD: LazyLock<Regex> = LazyLock::new(|| {
    let words = r"(?i)^(?:(?:grand|report|sub|order|running)[ -]?)?(?:totals?|sums?|summe|summen|gesamt|gesamtsumme|zwischensumme|endsumme|totale|totaux|suma|somme|итого|всего|合計|总计|toplam)(?:$|\P{Alphabetic})";
    Regex::new(words).expect("the pattern is a constant")
});

/// A row that may be no data.
#[derive(Clone, Debug)]
pub struct TotalRow {
    /// The column in which it says so.
    pub column: usize,
    /// The pattern of what it says.
    pub pattern: String,
    regex: Regex,
}

impl TotalRow {
    /// What a row of a file with so many columns is: its first words name a total, or it has half
    /// of the columns at most and words in one.
    pub fn of(cells: &[&str], columns: usize) -> Option<Self> {
        let mut filled =
            cells.iter().map(|cell| cell.trim()).enumerate().filter(|(_, cell)| !cell.is_empty());
        let (column, cell) = filled.next()?;
        if WORD.is_match(cell) {
            return Self::new(column, &pattern(cell));
        }
        let is_short = 2 * cells.len() <= columns;
        let has_words = |text: &str| letters(text) >= LETTERS_MIN;
        let (column, cell) = [(column, cell)]
            .into_iter()
            .chain(filled)
            .find(|(_, cell)| is_short && has_words(cell))?;
        Self::new(column, &pattern(cell))
    }

    fn new(column: usize, pattern: &str) -> Option<Self> {
        Some(Self { column, pattern: pattern.to_owned(), regex: Regex::new(pattern).ok()? })
    }

    /// Whether another row's cell in the column says the same.
    pub fn matches(&self, cells: &[&str]) -> bool {
        cells.get(self.column).is_some_and(|cell| self.regex.is_match(cell.trim()))
    }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphabetic()).count()
}

/// What stands before the first digit.
fn beginning(cell: &str) -> &str {
    cell.split(char::is_numeric).next().unwrap_or(cell).trim_end()
}

/// The whole cell if it is short and holds no number, which would be another one in the next file;
/// else its beginning, or all of it with any numbers.
fn pattern(cell: &str) -> String {
    let is_fixed = cell.chars().count() <= CELL_CHARS_MAX && !cell.contains(char::is_numeric);
    if is_fixed {
        return format!("(?i)^{}$", regex::escape(cell));
    }
    if letters(beginning(cell)) < LETTERS_MIN {
        let open = regex::escape(cell)
            .split(|c: char| c.is_ascii_digit())
            .collect::<Vec<_>>()
            .join("\u{0}");
        let any_number = Regex::new("\0+").expect("the pattern is a constant");
        return format!("(?i)^{}$", any_number.replace_all(&open, r"\d+"));
    }
    let shown: String = beginning(cell).chars().take(CELL_CHARS_MAX).collect();
    let end = if shown.ends_with(char::is_alphanumeric) { r"\b" } else { "" };
    format!("(?i)^{}{end}", regex::escape(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_total_makes_the_pattern() {
        let pattern = |cells: &[&str]| TotalRow::of(cells, 2).map(|row| (row.column, row.pattern));
        assert_eq!(pattern(&["", "Total", "5"]), Some((1, "(?i)^Total$".to_owned())));
        assert_eq!(pattern(&["Grand total 12,5", ""]), Some((0, r"(?i)^Grand total\b".to_owned())));
        assert_eq!(pattern(&["Summe", ""]), Some((0, "(?i)^Summe$".to_owned())));
        for none in [&["Totally", "5"][..], &["5", "Total"], &["Sumatra", ""], &["", ""]] {
            assert_eq!(pattern(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_short_row_with_words_is_told_by_them() {
        let row = TotalRow::of(&["2", "record(s) downloaded", "from"], 8).expect("it has words");
        assert_eq!((row.column, row.pattern.as_str()), (1, r"(?i)^record\(s\) downloaded$"));
        let row = TotalRow::of(&["12 orders, 2022"], 4).expect("it has words");
        assert_eq!(row.pattern, r"(?i)^\d+ orders, \d+$");
        assert!(row.matches(&["7 orders, 2023"]));
        let row = TotalRow::of(&["2", "record(s) downloaded", "from"], 8).expect("it has words");
        assert!(row.matches(&["3", "Record(s) downloaded "]) && !row.matches(&["3", "record"]));
        assert!(TotalRow::of(&["2", "record(s) downloaded", "from"], 4).is_none());
    }
}
