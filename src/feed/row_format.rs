//! Row format: how the rows of a file are written.

use serde::{Deserialize, Serialize};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// Delimited cells under a header.
    Csv(Dialect),
    /// Objects, in an array or not.
    Json,
}

/// How the cells of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// What stands between cells.
    pub delimiter: u8,
    /// What stands around cells that hold a delimiter or a line end.
    pub quote: u8,
    /// Longest row.
    pub row_bytes_max: usize,
    /// Cells that most rows have beyond the header's, all empty; 0 where they have none.
    pub padding: usize,
}
