//! JSON values: the members of an object by their paths, and their values as cells.

use crate::feed::layout::LayoutColumn;
use crate::transform::clean::becomes_value;
use crate::values::cell::unfit;
use crate::values::number::{Decimals, clear_text};
use memchr::memmem;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// How a character is written by its number.
const ESCAPE: &[u8] = b"\\u";

/// What is no character.
pub(super) const HALF_A_PAIR: &str = "half of a surrogate pair as an escape (\\ud800 to \\udfff), which is no character: export the file as UTF-8";

/// Deepest nesting that is flattened.
const DEPTH_MAX: usize = 16;

/// The text that arrow-json makes of a value; `None` when a text's escapes are no text.
pub fn cell_text(value: &RawValue) -> Option<Cow<'_, str>> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') if raw.contains('\\') => {
            serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
        }
        Some(b'"') => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
        Some(b'n') => Some(Cow::Borrowed("")),
        _ => Some(Cow::Borrowed(raw)),
    }
}

/// Whether a value is a number, and no text that looks like one.
pub(in crate::source) fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// A number of JSON as a text that a column of numbers reads as that number; `None` where it does
/// so anyway, and for other columns, which keep it as it is written.
pub(super) fn number_text(json: &str, column: &LayoutColumn) -> Option<String> {
    let is_clear = |byte: u8| match byte {
        b'.' => matches!(column.rules.decimals, Decimals::Point | Decimals::PointOnly),
        byte => !matches!(byte, b'e' | b'E'),
    };
    if !column.holds_numbers() || json.bytes().all(is_clear) {
        return None;
    }
    clear_text(json, column.rules.decimals)
}

/// The same, marked and as it is written where the column would have to rescue it: a rescued text
/// is the one that stands in the file.
pub(super) fn number_cell(json: &str, column: &LayoutColumn) -> Option<String> {
    let text = number_text(json, column)?;
    Some(if becomes_value(&text, column) { text } else { unfit(json) })
}

/// A number as [`number_cell`] says.
pub(super) fn clear(value: &RawValue, column: &LayoutColumn) -> Option<Box<RawValue>> {
    let text = is_number(value).then(|| number_cell(value.get(), column)).flatten()?;
    serde_json::value::to_raw_value(&text).ok()
}

/// The text of a value as a column reads it, as [`cell_text`] for all but numbers.
pub(super) fn text_for<'v>(value: &'v RawValue, column: &LayoutColumn) -> Option<Cow<'v, str>> {
    let number = is_number(value).then(|| number_text(value.get(), column)).flatten();
    number.map(Cow::Owned).or_else(|| cell_text(value))
}

/// Whether a value is none.
pub(super) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// Whether characters are written by their numbers. arrow-json 60.1 reads those beyond U+FFFF
/// wrongly (its tape decoder joins the halves of a pair by OR where it must add, so that every
/// second plane becomes another one: U+20BB7 is read as U+10BB7), so it sees none of them.
pub(super) fn has_escapes(raw: &[u8]) -> bool {
    memmem::find(raw, ESCAPE).is_some()
}

/// A value without such characters.
pub(super) fn unescaped<'a>(value: &Cow<'a, RawValue>) -> Cow<'a, RawValue> {
    if !value.get().starts_with('"') || !has_escapes(value.get().as_bytes()) {
        return value.clone();
    }
    let text = serde_json::from_str::<String>(value.get())
        .expect("a text that cannot be decoded is a reject");
    Cow::Owned(serde_json::value::to_raw_value(&text).expect("a text is JSON"))
}

/// Why a value cannot be stored as text. What was an array is a text by now.
pub(super) fn undecodable(value: &RawValue, was_array: bool) -> Option<String> {
    if !has_escapes(value.get().as_bytes()) {
        return None;
    }
    match cell_text(value) {
        None => Some(format!("the value has {HALF_A_PAIR}")),
        Some(text) if text.contains('\0') => Some("the value holds a NUL character".to_owned()),
        // Its text is JSON once more.
        Some(text) if was_array && serde_json::from_str::<serde_json::Value>(&text).is_err() => {
            Some(format!("the value has {HALF_A_PAIR}"))
        }
        Some(_) => None,
    }
}

/// The members of one object, in order.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

pub(in crate::source) type Member<'a> = (Cow<'a, str>, Cow<'a, RawValue>);

/// The members of an object by their paths; `None` if it is none.
pub(in crate::source) fn flatten_record(object: &str) -> Option<Vec<Member<'_>>> {
    let Members(members) = serde_json::from_str(object).ok()?;
    flatten(members).ok()
}

/// The members of an object, those of objects in it by their paths.
///
/// # Errors
///
/// When objects are nested too deeply, or two members have one path: `a.b`, and `b` of `a`.
pub(super) fn flatten<'a>(
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
) -> Result<Vec<Member<'a>>, String> {
    let count = members.len();
    let mut flat = Flat {
        members: Vec::with_capacity(count),
        depths: Vec::with_capacity(count),
        has_point: false,
    };
    for (name, value) in members {
        flat.has_point |= name.contains('.');
        flat.push(name, value, 0)?;
    }
    flat.finish()
}

/// Members that were met so far.
struct Flat<'a> {
    members: Vec<Member<'a>>,
    /// How deep each stands.
    depths: Vec<usize>,
    /// Whether a name has a point, so that it may be the path of another member.
    has_point: bool,
}

impl<'a> Flat<'a> {
    fn push(
        &mut self,
        name: Cow<'a, str>,
        value: &'a RawValue,
        depth: usize,
    ) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("objects are nested deeper than {DEPTH_MAX}"));
        }
        let raw = value.get();
        if raw.starts_with('{') {
            let Members(members) = serde_json::from_str(raw).map_err(|error| error.to_string())?;
            for (inner, value) in members {
                self.has_point |= inner.contains('.');
                self.push(Cow::Owned(format!("{name}.{inner}")), value, depth + 1)?;
            }
            return Ok(());
        }
        let value = if raw.starts_with('[') {
            Cow::Owned(serde_json::value::to_raw_value(raw).map_err(|error| error.to_string())?)
        } else {
            Cow::Borrowed(value)
        };
        self.members.push((name, value));
        self.depths.push(depth);
        Ok(())
    }

    fn finish(self) -> Result<Vec<Member<'a>>, String> {
        if !self.has_point {
            return Ok(self.members);
        }
        let mut depth_of: HashMap<&str, usize> = HashMap::new();
        for ((name, _), &depth) in self.members.iter().zip(&self.depths) {
            if depth_of.insert(name, depth).is_some_and(|other| other != depth) {
                return Err(format!("two members are `{name}`, one of them within another"));
            }
        }
        Ok(self.members)
    }
}

/// Writes members as an object.
pub(super) struct OrderedMembers<'a>(pub(super) &'a [Member<'a>]);

impl serde::Serialize for OrderedMembers<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_objects_are_flattened_and_arrays_kept_as_text() {
        let Members(members) =
            serde_json::from_str(r#"{"a":{"b":1,"c":{"d":"x"}},"e":[1, "y"]}"#).expect("JSON");
        let flat = flatten(members).expect("shallow");
        assert_eq!(
            serde_json::to_string(&OrderedMembers(&flat)).expect("JSON"),
            r#"{"a.b":1,"a.c.d":"x","e":"[1, \"y\"]"}"#
        );
        for object in [r#"{"a.b":1,"a":{"b":2}}"#, r#"{"a":{"b.c":1,"b":{"c":2}}}"#] {
            let Members(members) = serde_json::from_str(object).expect("JSON");
            assert!(flatten(members).is_err_and(|error| error.contains("two members")), "{object}");
        }
    }
}
