//! Members: the names in the first objects of a JSON file, of which only the beginning may be
//! there.

use crate::feed::json_settings::JsonSettings;
use crate::feed::layout::declared_name;
use crate::source::rows::header::HEADER_ROWS_MAX;
use crate::source::scalars::scalars_are;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// What the first objects have.
#[derive(Default)]
pub(super) struct Members {
    /// Their members together, as the configuration writes them.
    pub names: HashSet<String>,
    /// Whether at least one of the objects is there as a whole.
    pub has_whole_object: bool,
}

/// The members of the first objects.
pub(super) fn members(text: &str, json: &JsonSettings) -> Members {
    let mut members = Members::default();
    let begins_array = text.trim_start().starts_with('[');
    if let (Some(root), false) = (&json.root, begins_array) {
        // What could be read of a document that is cut off is enough.
        let below = Below { root, json, members: &mut members };
        let _ = below.deserialize(&mut serde_json::Deserializer::from_str(text));
        return members;
    }
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '[');
    for _ in 0..HEADER_ROWS_MAX {
        let object = Object { path: String::new(), json, names: &mut members.names };
        let mut whole = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let is_whole = matches!(whole.next(), Some(Ok(_)));
        let is_read = object.deserialize(&mut serde_json::Deserializer::from_str(rest)).is_ok();
        if !is_whole || !is_read {
            break;
        }
        members.has_whole_object = true;
        rest =
            rest[whole.byte_offset()..].trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }
    members
}

/// Finds the array of records in a document.
struct Below<'n> {
    /// What is left of the path to it.
    root: &'n str,
    json: &'n JsonSettings,
    members: &'n mut Members,
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { root, json, members } = self;
        while let Some(name) = map.next_key::<String>()? {
            if name == root {
                map.next_value_seed(Records { json, members: &mut *members })?;
            } else if let Some(root) =
                root.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.'))
            {
                map.next_value_seed(Below { root, json, members: &mut *members })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The first elements of the array of records.
struct Records<'n> {
    json: &'n JsonSettings,
    members: &'n mut Members,
}

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { json, members } = self;
        for _ in 0..HEADER_ROWS_MAX {
            let object = Object { path: String::new(), json, names: &mut members.names };
            if elements.next_element_seed(object)?.is_none() {
                break;
            }
            members.has_whole_object = true;
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Notes the names in an object, and in the objects that it has.
struct Object<'n> {
    /// Where it stands in its record; empty for the record.
    path: String,
    json: &'n JsonSettings,
    names: &'n mut HashSet<String>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { path: above, json, names } = self;
        while let Some(name) = map.next_key::<String>()? {
            let path = if above.is_empty() { name } else { format!("{above}.{name}") };
            names.insert(declared_name(&path));
            map.next_value_seed(Object { path, json, names: &mut *names })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { path, json, names } = self;
        let are_lines = json.is_lines(&path);
        loop {
            let is_more = match are_lines {
                true => elements
                    .next_element_seed(Object { path: path.clone(), json, names: &mut *names })?
                    .is_some(),
                false => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_more {
                return Ok(());
            }
        }
    }

    scalars_are!((), ());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str, json: &JsonSettings, names: &[&str]) -> bool {
        let found = members(text, json).names;
        names.iter().all(|name| found.iter().any(|other| other == name))
    }

    #[test]
    fn names_are_found_in_what_is_there_of_the_first_objects() {
        let json = |root: Option<&str>, lines: &str| JsonSettings {
            root: root.map(str::to_owned),
            lines: Some(lines.to_owned()),
        };
        let plain = JsonSettings::default();
        assert!(has(r#"[{"Id": 1}, {"ship": {"city": "x"}}, {"cut"#, &plain, &["id", "ship_city"]));
        assert!(has(r#"{"Id": 1, "n": 1e400, "To": 2, "list": [{"a": 1}]"#, &plain, &["id"]));
        assert!(!has(r#"{"Id": 1, "list": [{"a": 1}]}"#, &plain, &["list_a"]));
        let text = r#"{"n": [1], "data": {"x": {}, "orders": [{"id": 1, "items": [{"sku": 1}, {"q": {"n": true}}]}, {"cut": "#;
        let shop = json(Some("data.orders"), "items");
        assert!(has(text, &shop, &["id", "items_sku", "items_q_n", "cut"]));
        assert!(!has(text, &shop, &["n"]) && !has(text, &plain, &["id"]));
        assert!(has(
            &text[text.find("{\"id").unwrap_or(0)..],
            &json(None, "items"),
            &["id", "items_sku"]
        ));
        assert!(has("[{\"id\": 1}]", &shop, &["id"]));
        for (text, json, is_whole) in [
            (r#"[{"id": 1}, {"id"#, &plain, true),
            (r#"[{"id": 1, "list": ["#, &plain, false),
            (r#"{"data": {"orders": [{"id": 1}, {"id"#, &shop, true),
            (r#"{"data": {"orders": [{"id": 1"#, &shop, false),
        ] {
            assert_eq!(members(text, json).has_whole_object, is_whole, "{text}");
        }
    }
}
