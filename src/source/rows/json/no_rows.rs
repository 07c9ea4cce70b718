//! No rows: which objects, and which lines of an object, a dataset says are no data.
//!
//! A pattern on a member of a line speaks of that line, as it does of a row of CSV; one on a member
//! of the object speaks of the object with all its lines, as each row of CSV would repeat the cell.

use crate::feed::dataset::Dataset;
use crate::source::rows::Part;
use crate::source::rows::json::Names;
use crate::source::rows::json_values::{Member, Members, cell_text, flatten};
use crate::source::rows::object_lines::OpenObject;

impl Names<'_> {
    /// Whether an object with lines is no data. Of one that is, only those lines are kept that are
    /// data, too; if none is, the object is still a record.
    pub(super) fn is_no_record(
        &mut self,
        object: &mut OpenObject,
        raw: &[u8],
        path: &str,
        dataset: &Dataset,
        row: &mut Vec<u8>,
    ) -> bool {
        if dataset.no_rows.is_empty() {
            return false;
        }
        // The object with its first line: so its columns are met in the order of the file.
        object.write_row(raw, row);
        let (is_no_record, is_first_no_line) = self.matches(row, dataset);
        if is_no_record || object.lines() == 0 {
            // Members named as those of a line are the only line of an object without the array.
            let is_flat = object.next_part() == Part::NoLine { is_absent: true };
            return is_no_record || (is_flat && is_first_no_line);
        }
        let mut is_no_line = |line: usize| {
            object.write_line(raw, path, line, row);
            self.matches(row, dataset).1
        };
        let kept = (0..object.lines())
            .filter(|&line| !(if line == 0 { is_first_no_line } else { is_no_line(line) }))
            .collect();
        object.keep(kept);
        false
    }

    /// Whether a member of the object in a row is one of no data, and whether one of its line is.
    fn matches(&mut self, row: &[u8], dataset: &Dataset) -> (bool, bool) {
        let text = String::from_utf8_lossy(row);
        let members = serde_json::from_str(&text).ok().map(|Members(members)| members);
        // What cannot be read has a fault of its own, which says so.
        let Some(Ok(mut members)) = members.map(flatten) else { return (false, false) };
        members.retain(|(name, _)| !self.json.is_lines(name));
        let Ok(columns) = self.columns(&members, dataset) else { return (false, false) };
        let json = self.json;
        (
            self.is_no_row(&members, &columns, dataset, |name| !json.is_of_lines(name)),
            self.is_no_row(&members, &columns, dataset, |name| json.is_of_lines(name)),
        )
    }

    /// Whether a dataset says that a row with these members is no data, by those of them that are
    /// asked.
    pub(super) fn is_no_row(
        &self,
        members: &[Member<'_>],
        columns: &[Option<usize>],
        dataset: &Dataset,
        is_asked: impl Fn(&str) -> bool,
    ) -> bool {
        dataset.no_rows.iter().any(|(column, pattern)| {
            let index = self.layout.index_of(column);
            let cells = members.iter().zip(columns).filter(|((name, _), column)| {
                index.is_some() && **column == index && is_asked(name)
            });
            cells
                .filter_map(|((_, value), _)| cell_text(value))
                .any(|cell| pattern.is_match(cell.trim()))
        })
    }
}
