//! Transform: pure functions from a chunk of a file to table rows and their hashes.

pub mod clean;
pub mod decode;
pub mod diff;
pub mod faults;
pub mod kept_lines;
pub mod project;
pub mod record_json;
pub mod row_hash;
pub mod rules;
pub mod table_rows;

use crate::chunk::Chunk;
use crate::feed::correction::{corrected_rows, note_corrected_rows};
use crate::feed::dataset::Dataset;
use crate::feed::layout::Layout;
use crate::feed::row_format::RowFormat;
use crate::transform::clean::{Cleaned, clean};
use crate::transform::decode::decode;
use crate::transform::faults::Faults;
use crate::transform::project::{Projected, project};
use crate::transform::rules::{Repeats, Source, Verdict, ask, rejects};
use std::collections::HashSet;

/// A step of [`transform`], for measurements.
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
pub fn transform(
    chunk: Chunk,
    format: RowFormat,
    layout: &Layout,
    dataset: &Dataset,
    market: &str,
) -> Projected {
    transform_by_steps(chunk, format, layout, dataset, market, &Repeats::default(), |_| ())
}

/// As [`transform`], with the values of unique columns that several records of the file have. Calls
/// `done` after each step.
pub fn transform_by_steps(
    mut chunk: Chunk,
    format: RowFormat,
    layout: &Layout,
    dataset: &Dataset,
    market: &str,
    repeats: &Repeats,
    mut done: impl FnMut(Step),
) -> Projected {
    let batch = decode(&chunk, format, layout);
    done(Step::Decoded);
    let mut cleaned = clean(&batch, layout);
    done(Step::Cleaned);
    let mut corrected_rows = corrected_rows(&chunk, &batch, layout);
    let faults = apply_rules(&mut chunk, &mut cleaned, layout, dataset, repeats);
    if faults.rows_rejected > 0 {
        corrected_rows.retain(|row| chunk.keys.contains(&row.key));
    }
    let mut projected = project(chunk, &cleaned, layout, dataset, market);
    if let RowFormat::Csv(dialect) = format {
        let (delimiter, quote) = (char::from(dialect.delimiter), char::from(dialect.quote));
        note_corrected_rows(&mut projected.rejects, layout, delimiter, quote);
    }
    done(Step::Projected);
    Projected { corrected_rows, faults, ..projected }
}

/// The faults of a chunk, as [`transform`] finds them. `ask_first` sees the values before rules are
/// asked.
pub fn find_faults(
    chunk: &Chunk,
    format: RowFormat,
    layout: &Layout,
    dataset: &Dataset,
    repeats: &mut Repeats,
    ask_first: impl FnOnce(Source<'_>, &mut Repeats),
) -> Faults {
    let cleaned = clean(&decode(chunk, format, layout), layout);
    let source = Source { chunk, cleaned: &cleaned, layout, dataset };
    ask_first(source, repeats);
    let asked = ask(source, repeats);
    let mut faults = asked.faults;
    let rejected = asked.verdicts.iter().zip(&chunk.records);
    let rejected = rejected.filter(|(verdict, _)| matches!(verdict, Verdict::Rejected { .. }));
    let rejected: HashSet<usize> = rejected.flat_map(|(_, rows)| rows.clone()).collect();
    faults.count_rescued(chunk, &cleaned, layout, |row| !rejected.contains(&row));
    faults
}

/// Asks the rules, and takes out the records that they reject.
fn apply_rules(
    chunk: &mut Chunk,
    cleaned: &mut Cleaned,
    layout: &Layout,
    dataset: &Dataset,
    repeats: &Repeats,
) -> Faults {
    let asked = ask(Source { chunk, cleaned, layout, dataset }, repeats);
    let mut faults = asked.faults;
    // A record that breaks a rule leaves no entry in the index, so that it is counted in every
    // file.
    for (seen, verdict) in chunk.seen.iter_mut().zip(&asked.verdicts) {
        if *verdict != Verdict::Accepted {
            seen.bytes = 0;
        }
    }
    if faults.rows_rejected > 0 {
        let (rejects, is_rejected) = rejects(chunk, &asked.verdicts);
        chunk.rejects.extend(rejects);
        let kept = chunk.leave_out(&is_rejected);
        cleaned.keep(&kept);
    }
    faults.count_rescued(chunk, cleaned, layout, |_| true);
    faults
}

#[cfg(test)]
mod tests;
