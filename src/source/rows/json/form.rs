//! Form: an object's values as its columns read them, and why they cannot be loaded.

use crate::source::rows::Fault;
use crate::source::rows::json::Names;
use crate::source::rows::json_values::{
    Member, OrderedMembers, cell_text, is_number, undecodable, unescaped,
};
use crate::transform::clean::misfit;
use crate::values::number::{Decimals, clear_text};
use serde_json::value::RawValue;
use std::borrow::Cow;

impl Names<'_> {
    /// The first value that does not fit the type of a column that takes nothing else.
    pub(super) fn misfit(
        &self,
        members: &[Member<'_>],
        columns: &[Option<usize>],
    ) -> Option<Fault> {
        members.iter().zip(columns).find_map(|((_, value), column)| {
            let column = &self.layout.columns[(*column)?];
            let text = match is_number(value) {
                true => clear_text(value.get(), column.rules.decimals).map(Cow::Owned),
                false => None,
            };
            let reason = misfit(&text.or_else(|| cell_text(value))?, column)?;
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
        let named: Vec<Member<'_>> = members
            .iter()
            .zip(columns)
            .filter_map(|((_, value), column)| {
                let value = self.clear(value, *column).map_or_else(|| unescaped(value), Cow::Owned);
                Some((Cow::Borrowed(self.layout.columns[(*column)?].raw_name.as_str()), value))
            })
            .collect();
        serde_json::to_vec(&OrderedMembers(&named)).expect("texts and checked JSON values are JSON")
    }

    /// A number as a text that its column reads as that number; `None` where it does so anyway.
    pub(super) fn clear(&self, value: &RawValue, column: Option<usize>) -> Option<Box<RawValue>> {
        let column = &self.layout.columns[column?];
        let is_clear = |byte: u8| match byte {
            b'.' => matches!(column.rules.decimals, Decimals::Point | Decimals::PointOnly),
            byte => !matches!(byte, b'e' | b'E'),
        };
        if !column.holds_numbers() || !is_number(value) || value.get().bytes().all(is_clear) {
            return None;
        }
        serde_json::value::to_raw_value(&clear_text(value.get(), column.rules.decimals)?).ok()
    }
}
