//! JSON shape: where a document has the array of its records.

use crate::source::scalars::scalars_are;
use crate::source::text::Text;
use crate::source::text::content::Content;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::{BufReader, Read};

/// Deepest array of records.
const DEPTH_MAX: usize = 3;

/// Arrays that are told: more are no choice.
const ARRAYS_MAX: usize = 20;

/// Arrays of objects in the object that a document is, by their paths, the longest first; none for
/// a file that is an array or several values.
pub fn roots(text: &Text) -> Vec<String> {
    let reader =
        ContentReader { content: &text.content, block: Vec::new(), used: 0, next_block: 0 };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(reader));
    let mut arrays = Vec::new();
    let node = Node { path: String::new(), depth: 0, arrays: &mut arrays };
    // A document that is cut off is refused elsewhere.
    if node.deserialize(&mut json).is_err() || json.end().is_err() {
        return Vec::new();
    }
    arrays.sort_by_key(|(_, objects)| std::cmp::Reverse(*objects));
    arrays.into_iter().map(|(path, _)| path).collect()
}

/// A text as a stream of bytes.
struct ContentReader<'c> {
    content: &'c Content,
    block: Vec<u8>,
    used: usize,
    next_block: usize,
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.used == self.block.len() {
            self.block.clear();
            self.used = 0;
            let read = self.content.read_block(self.next_block, &mut self.block);
            read.map_err(|error| std::io::Error::other(error.to_string()))?;
            self.next_block += 1;
            if self.next_block == 1 && self.block.starts_with(b"\xef\xbb\xbf") {
                self.used = 3;
            }
        }
        let rest = &self.block[self.used..];
        let bytes = rest.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&rest[..bytes]);
        self.used += bytes;
        Ok(bytes)
    }
}

/// A value of the document.
struct Node<'a> {
    path: String,
    depth: usize,
    arrays: &'a mut Vec<(String, u64)>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Deeper values are skipped, including numbers of any size.
        if self.depth > DEPTH_MAX {
            return serde::Deserialize::deserialize(deserializer).map(|IgnoredAny| ());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { name } else { format!("{}.{name}", self.path) };
            map.next_value_seed(Node { path, depth: self.depth + 1, arrays: &mut *self.arrays })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let (mut objects, mut others) = (0_u64, 0_u64);
        while let Some(is_object) = elements.next_element_seed(Element)? {
            *(if is_object { &mut objects } else { &mut others }) += 1;
        }
        // The document itself is not a member.
        if self.depth > 0 && objects > 0 && others == 0 && self.arrays.len() < ARRAYS_MAX {
            self.arrays.push((self.path, objects));
        }
        Ok(())
    }

    scalars_are!((), ());
}

/// Whether an element is an object.
struct Element;

impl<'de> DeserializeSeed<'de> for Element {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<bool, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    scalars_are!(bool, false);
}
