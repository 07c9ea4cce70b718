//! Form: the values of an object as its columns read them, and why they cannot be loaded.

use crate::feed::layout::LayoutColumn;
use crate::source::rows::Fault;
use crate::source::rows::json::Names;
use crate::source::rows::json_values::{
    Member, OrderedMembers, cell_text, clear, is_null, is_number, text_for, undecodable, unescaped,
};
use crate::transform::clean::misfit;
use serde_json::value::RawValue;
use std::borrow::Cow;

impl Names<'_> {
    /// The first value that does not fit the type of a column that takes nothing else.
    pub(super) fn misfit(
        &self,
        members: &[Member<'_>],
        columns: &[Option<usize>],
    ) -> Option<Fault> {
        let values = members.iter().zip(columns).filter(|((_, value), _)| !is_null(value));
        values.into_iter().find_map(|((_, value), column)| {
            let column = &self.layout.columns[(*column)?];
            let reason = misfit(&text_for(value, column)?, &cell_text(value)?, column)?;
            Some(Fault::cell(Some(column.name.clone()), &reason))
        })
    }

    /// Why a value cannot be stored.
    pub(super) fn unstorable(&self, value: &RawValue, was_array: bool) -> Option<String> {
        if value.get().len() > self.field_bytes_max {
            return Some(format!(
                "the value is longer than field_bytes_max allows ({} bytes)",
                self.field_bytes_max
            ));
        }
        undecodable(value, was_array)
    }

    /// The object with the names that the layout has.
    pub(super) fn rewritten(&self, members: &[Member<'_>], columns: &[Option<usize>]) -> Vec<u8> {
        let mut named: Vec<Member<'_>> = Vec::with_capacity(members.len());
        for ((_, value), column) in members.iter().zip(columns) {
            let Some(column) = *column else { continue };
            let own = &self.layout.columns[column];
            let clear_value = |column: &LayoutColumn| {
                clear(value, column).map_or_else(|| unescaped(value), Cow::Owned)
            };
            let own_value = clear_value(own);
            // A copy may read numbers in another way, or keep them as the text that they are.
            for copy in self.layout.copies.iter().filter(|copy| copy.source == column) {
                let copied = clear_value(&copy.column);
                if copied.get() != own_value.get() {
                    named.push((Cow::Owned(copy.member_name(&own.raw_name)), copied));
                }
            }
            named.push((Cow::Borrowed(own.raw_name.as_str()), own_value));
        }
        serde_json::to_vec(&OrderedMembers(&named)).expect("texts and checked JSON values are JSON")
    }

    /// Whether a number is to be written otherwise for a column that takes it.
    pub(super) fn is_unclear(&self, value: &RawValue, column: Option<usize>) -> bool {
        let Some(column) = column.filter(|_| is_number(value)) else { return false };
        let copies = self.layout.copies.iter().filter(|copy| copy.source == column);
        let mut fed = copies.map(|copy| &copy.column).chain([&self.layout.columns[column]]);
        fed.any(|column| clear(value, column).is_some())
    }
}
