//! Cell: a text as a file has it, the white space around it, and whether it means "no value".

/// Stands before a text that is no value of any column: the error of a workbook's cell, or a number
/// of JSON that its column cannot hold. It is rescued as it stands in the file. Nothing else that
/// is read begins so: a NUL makes a reject of its row.
const UNFIT: char = '\0';

/// Marks a text as one that is no value of its column, whatever the column would make of it.
pub fn unfit(text: &str) -> String {
    format!("{UNFIT}{text}")
}

/// Such a text, as `#REF!`; `None` for a value.
pub fn unfit_text(cell: &str) -> Option<&str> {
    cell.strip_prefix(UNFIT)
}

/// Cells that mean "no value".
#[derive(Debug)]
pub struct NullTokens {
    /// Grouped by length: to compare a cell with a few short tokens is faster than to hash it.
    by_length: Vec<Vec<String>>,
}

impl NullTokens {
    /// The given tokens.
    pub fn new(tokens: impl IntoIterator<Item = String>) -> Self {
        let mut by_length: Vec<Vec<String>> = Vec::new();
        for token in tokens {
            if by_length.len() <= token.len() {
                by_length.resize(token.len() + 1, Vec::new());
            }
            by_length[token.len()].push(token);
        }
        Self { by_length }
    }

    /// All tokens.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.by_length.iter().flatten()
    }

    /// Whether a cell means "no value".
    pub fn matches(&self, cell: &str) -> bool {
        let trimmed = trimmed(cell);
        self.by_length
            .get(trimmed.len())
            .is_some_and(|tokens| tokens.iter().any(|token| token == trimmed))
    }
}

/// A cell without the white space around it. Almost no cell has any, and the first and last byte
/// show that.
pub fn trimmed(cell: &str) -> &str {
    match cell.as_bytes() {
        [] => cell,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => cell,
        [only] if only.is_ascii_graphic() => cell,
        _ => cell.trim(),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
