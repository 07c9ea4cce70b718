//! Transform: pure functions from a chunk of a file to table rows and their hashes.

pub mod clean;
pub mod decode;
pub mod diff;
pub mod kept_lines;
pub mod project;
pub mod row_hash;
pub mod table_rows;

use crate::chunk::Chunk;
use crate::feed::correction::{corrected_rows, note_corrected_rows};
use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::feed::row_format::RowFormat;
use crate::transform::clean::clean;
use crate::transform::decode::decode;
use crate::transform::project::{Projected, project};

/// A step of [`transform`], for who measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The bytes are columns of text.
    Decoded,
    /// Cells are values of their columns' kinds.
    Cleaned,
    /// Values are table rows with their hashes.
    Projected,
}

/// What a chunk of a file becomes: table rows with their hashes, and rejects. It knows no file, no
/// database and no clock, so that the same chunk always becomes the same rows.
pub fn transform(chunk: Chunk, format: RowFormat, layout: &Layout, dataset: &Dataset, market: &str) -> Projected {
    transform_by_steps(chunk, format, layout, dataset, market, |_| ())
}

/// As [`transform`]; `done` hears of each step when it is done.
pub fn transform_by_steps(
    chunk: Chunk,
    format: RowFormat,
    layout: &Layout,
    dataset: &Dataset,
    market: &str,
    mut done: impl FnMut(Step),
) -> Projected {
    let batch = decode(&chunk, format, layout);
    done(Step::Decoded);
    let cleaned = clean(&batch, layout);
    done(Step::Cleaned);
    let corrected_rows = corrected_rows(&chunk, &batch, layout);
    let mut projected = project(chunk, &cleaned, layout, dataset, market);
    if let RowFormat::Csv(dialect) = format {
        let (delimiter, quote) = (char::from(dialect.delimiter), char::from(dialect.quote));
        note_corrected_rows(&mut projected.rejects, layout, delimiter, quote);
    }
    done(Step::Projected);
    Projected { corrected_rows, ..projected }
}
