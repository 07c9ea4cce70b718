//! JSON rows: the objects of an array, of NDJSON, or of objects one after the other, read incrementally.
//!
//! serde_json checks every object and finds its end; that the array is complete and its commas are
//! there is checked here, because arrow-json, which decodes the objects later, accepts both. Nested
//! objects are flattened (`a_b`), arrays are kept as their JSON text.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::feed::decimals::Observer;
use crate::feed::layout::{Layout, Role, Shapes, column_name};
use crate::source::rows::{Fault, Form, RowRef, joined_key, key_part, text_key};
use crate::source::text::content::Window;
use crate::transform::clean::misfit;
use crate::values::number::{Decimals, clear_text};
use memchr::memmem;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// How a character is written by its number.
const ESCAPE: &[u8] = b"\\u";

/// What is no character.
const HALF_A_PAIR: &str =
    "half of a surrogate pair as an escape (\\ud800 to \\udfff), which is no character: export the file as UTF-8";

/// Spellings of columns that are looked up at once; others are worked out again, as a file may spell each object's otherwise.
const SPELLINGS_MAX: usize = 1 << 14;

/// Deepest nesting that is flattened.
const DEPTH_MAX: usize = 16;

/// Where the reader stands among the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// Objects one after the other, without an array around them.
    Stream,
    FirstElement,
    AfterElement,
    AfterComma,
    AfterArray,
}

/// The objects of a JSON file.
#[derive(Debug)]
pub struct JsonRows<'a> {
    window: Window<'a>,
    dataset: &'a Dataset,
    row_bytes_max: usize,
    columns_max: usize,
    names: Names<'a>,
    place: Place,
    number: u64,
}

/// The columns met so far, by the names that objects give them.
#[derive(Debug)]
struct Names<'a> {
    layout: Layout,
    by_raw_name: HashMap<String, usize>,
    /// Tables that new columns are looked up in; `None` once every object was seen.
    shapes: Option<&'a Shapes>,
    /// Columns of the key, in its order, as far as they were met.
    key: Vec<usize>,
    /// What the values of each column have in common, while new columns may come.
    observers: Vec<Option<Observer>>,
    /// The same of the layout's copies.
    copy_observers: Vec<Option<Observer>>,
    /// The first column of each name, as tables would have it.
    by_name: HashMap<String, usize>,
    /// Longest value.
    field_bytes_max: usize,
    /// Most columns.
    columns_max: usize,
}

impl<'a> JsonRows<'a> {
    /// The objects of a whole file; columns that the layout lacks are added to it as they are met.
    pub fn surveying(
        window: Window<'a>,
        dataset: &'a Dataset,
        layout: Layout,
        shapes: &'a Shapes,
        limits: &Limits,
    ) -> Self {
        let mut names = Names::new(layout, Some(shapes), limits);
        names.observe_columns(0, 0);
        Self::new(window, dataset, names, Place::Start, limits, 0)
    }

    /// The objects from the window's place on, of which `number` came before, with a known layout.
    pub fn resuming(window: Window<'a>, dataset: &'a Dataset, layout: &Layout, limits: &Limits, number: u64) -> Self {
        // Between elements a comma may come next or not; the survey has checked that they are there.
        let place = if window.offset() == 0 { Place::Start } else { Place::Stream };
        Self::new(window, dataset, Names::new(layout.clone(), None, limits), place, limits, number)
    }

    fn new(
        mut window: Window<'a>,
        dataset: &'a Dataset,
        names: Names<'a>,
        place: Place,
        limits: &Limits,
        number: u64,
    ) -> Self {
        if place == Place::Start && window.rest().starts_with(b"\xef\xbb\xbf") {
            window.advance(3);
        }
        let (row_bytes_max, columns_max) = (limits.row_bytes_max, limits.columns_max);
        Self { window, dataset, row_bytes_max, columns_max, names, place, number }
    }

    /// The columns that the objects had, and what is to be known of them.
    pub fn into_layout(self) -> (Layout, Vec<Observer>) {
        let Names { layout, observers, copy_observers, .. } = self.names;
        let copies = copy_observers
            .into_iter()
            .enumerate()
            .filter_map(|(copy, observer)| Some(observer?.of_column(layout.columns.len() + copy)));
        let observers = observers.into_iter().flatten().chain(copies).collect();
        (layout, observers)
    }

    /// Whether nothing at all was met.
    pub fn is_blank(&self) -> bool {
        self.place == Place::Start
    }

    /// Number of the object that was read last.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next object.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not complete JSON.
    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, SyncError> {
        if !self.find_element()? {
            return Ok(None);
        }
        let length = self.element_length()?;
        self.number += 1;
        let offset = self.window.offset();
        self.window.advance(length);
        let raw = self.window.passed(length);
        let columns_max = self.columns_max;
        let (key, form, absent) = self.names.read(raw, self.dataset);
        if self.names.layout.columns.len() > columns_max {
            return Err(SyncError::damaged(format!(
                "its objects have more columns than columns_max allows ({columns_max})"
            )));
        }
        let next_offset = offset + length as u64;
        Ok(Some(RowRef { number: self.number, offset, next_offset, raw, whole: raw, key, form, absent }))
    }

    /// Moves to the start of the next element; `false` at the end of the file.
    fn find_element(&mut self) -> Result<bool, SyncError> {
        loop {
            let spaces = self.window.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.window.advance(spaces);
            let Some(&byte) = self.window.rest().first() else {
                if !self.window.is_at_end() {
                    self.window.fill()?;
                    continue;
                }
                return match self.place {
                    Place::Start | Place::Stream | Place::AfterArray => Ok(false),
                    _ => Err(self.damaged("the array is not closed: the file is truncated")),
                };
            };
            let (next, is_punctuation) = match (self.place, byte) {
                (Place::Start, b'[') => (Place::FirstElement, true),
                (Place::FirstElement | Place::AfterElement, b']') => (Place::AfterArray, true),
                (Place::AfterElement, b',') => (Place::AfterComma, true),
                // Resumed inside an array.
                (Place::Stream, b',' | b']') if self.names.shapes.is_none() => (Place::Stream, true),
                (Place::AfterComma, b']') => return Err(self.damaged("a comma stands before the end of the array")),
                (Place::AfterElement, _) => return Err(self.damaged("a comma is missing between two elements")),
                (Place::AfterArray, _) => return Err(self.damaged("something stands after the end of the array")),
                (Place::Start | Place::Stream, _) => (Place::Stream, false),
                (Place::FirstElement | Place::AfterComma, _) => (Place::AfterElement, false),
            };
            self.place = next;
            if !is_punctuation {
                return Ok(true);
            }
            self.window.advance(1);
        }
    }

    fn element_length(&mut self) -> Result<usize, SyncError> {
        loop {
            let mut stream = serde_json::Deserializer::from_slice(self.window.rest()).into_iter::<IgnoredAny>();
            let element = stream.next();
            let length = stream.byte_offset();
            let is_at_end = self.window.is_at_end();
            match element {
                // A number may go on in the next block.
                Some(Ok(_)) if length < self.window.rest().len() || is_at_end => return Ok(length),
                Some(Err(error)) if !error.is_eof() => {
                    return Err(self.damaged(&format!("an element cannot be read as JSON: {error}")));
                }
                _ if is_at_end => return Err(self.damaged("the last element is cut off: the file is truncated")),
                _ if self.window.rest().len() > self.row_bytes_max => {
                    return Err(self.damaged("an element is longer than row_bytes_max"));
                }
                _ => self.window.fill()?,
            }
        }
    }

    fn damaged(&self, what: &str) -> SyncError {
        SyncError::damaged(format!("{what} (after element {}, byte {})", self.number, self.window.offset()))
    }
}

impl<'a> Names<'a> {
    fn new(layout: Layout, shapes: Option<&'a Shapes>, limits: &Limits) -> Self {
        let by_raw_name =
            layout.columns.iter().enumerate().map(|(index, column)| (column.raw_name.clone(), index)).collect();
        let mut by_name = HashMap::new();
        for (index, column) in layout.columns.iter().enumerate() {
            by_name.entry(column.own_name.clone()).or_insert(index);
        }
        let key = layout.key();
        let Limits { field_bytes_max, columns_max, .. } = *limits;
        Self {
            layout,
            by_raw_name,
            shapes,
            key,
            observers: Vec::new(),
            copy_observers: Vec::new(),
            by_name,
            field_bytes_max,
            columns_max,
        }
    }

    fn read(&mut self, raw: &[u8], dataset: &Dataset) -> (Option<String>, Form, Vec<usize>) {
        let broken = |key, fault| (key, Form::Broken(fault), Vec::new());
        // What is not text is replaced, so that the key can be read: the whole record is rejected then.
        let text = String::from_utf8_lossy(raw);
        let Members(members) = match serde_json::from_str(&text) {
            Ok(members) => members,
            Err(_) if raw.starts_with(b"{") => {
                return broken(None, Fault::row(&format!("the name of a member has {HALF_A_PAIR}")));
            }
            Err(_) => return broken(None, Fault::row("the element is not an object")),
        };
        let is_nested = members.iter().any(|(_, value)| value.get().starts_with(['{', '[']));
        let own_key = self.known_key(&members, dataset);
        let members = match flatten(members) {
            Ok(members) => members,
            Err(reason) => return broken(own_key, Fault::row(&reason)),
        };
        let columns = match self.columns(&members, dataset) {
            Ok(columns) => columns,
            Err(name) => {
                return broken(own_key, Fault::row(&format!("two members of the object mean the column `{name}`")));
            }
        };
        if self.is_no_row(&members, &columns, dataset) {
            return (None, Form::Skipped, Vec::new());
        }
        self.observe(&members);
        let key = match self.key_of(&members, dataset) {
            _ if dataset.is_keyless() => text_key(raw),
            Ok(key) => key,
            Err(fault) => return broken(None, fault),
        };
        if matches!(text, Cow::Owned(_)) {
            return broken(
                Some(key),
                Fault::row("the bytes are not UTF-8 text: export the file as UTF-8, or set `encoding` of the dataset"),
            );
        }
        let faulty = members
            .iter()
            .zip(&columns)
            .find_map(|((_, value), column)| Some((column, self.unstorable(value, matches!(value, Cow::Owned(_)))?)));
        if let Some((column, reason)) = faulty {
            let column = column.map(|column| self.layout.columns[column].name.clone());
            return broken(Some(key), Fault::cell(column, &reason));
        }
        if let Some(fault) = self.misfit(&members, &columns) {
            return broken(Some(key), fault);
        }
        let is_respelt = members
            .iter()
            .zip(&columns)
            .any(|((name, _), column)| column.is_some_and(|column| self.layout.columns[column].raw_name != *name));
        let has_unclear = members.iter().zip(&columns).any(|((_, value), column)| self.clear(value, *column).is_some());
        let form = if is_nested || is_respelt || has_unclear || has_escapes(raw) {
            let rewritten = self.rewritten(&members, &columns);
            Form::Rewritten { bytes: rewritten, is_repaired: false }
        } else {
            Form::Fits
        };
        (Some(key), form, self.absent(&columns))
    }

    /// The first value that does not fit the type of a column that takes nothing else.
    fn misfit(&self, members: &[Member<'_>], columns: &[Option<usize>]) -> Option<Fault> {
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
    fn unstorable(&self, value: &RawValue, was_array: bool) -> Option<String> {
        if value.get().len() > self.field_bytes_max {
            return Some(format!("the value is longer than field_bytes_max allows ({} bytes)", self.field_bytes_max));
        }
        undecodable(value, was_array)
    }

    /// The column of each member; the name of a column that two members with different names mean.
    fn columns(&mut self, members: &[Member<'_>], dataset: &Dataset) -> Result<Vec<Option<usize>>, String> {
        let mut columns: Vec<Option<usize>> = Vec::with_capacity(members.len());
        let mut in_object: HashMap<usize, &str> = HashMap::with_capacity(members.len().min(self.columns_max));
        for (name, _) in members {
            let column = self.index(name, &in_object, dataset);
            // What more there is makes the file no better.
            if self.layout.columns.len() > self.columns_max {
                return Err(name.to_string());
            }
            // The same name twice is one member of which the last counts, as everywhere in JSON.
            if let Some(column) = column
                && *in_object.entry(column).or_insert(name) != name.as_ref()
            {
                return Err(self.layout.columns[column].name.clone());
            }
            columns.push(column);
        }
        Ok(columns)
    }

    /// The object with the names that the layout has.
    fn rewritten(&self, members: &[Member<'_>], columns: &[Option<usize>]) -> Vec<u8> {
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
    fn clear(&self, value: &RawValue, column: Option<usize>) -> Option<Box<RawValue>> {
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

    /// The key of an object whose other members cannot be read.
    fn known_key(&self, members: &[(Cow<'_, str>, &RawValue)], dataset: &Dataset) -> Option<String> {
        let part = |&key: &usize| {
            let column = &self.layout.columns[key];
            let (_, value) = members.iter().rev().find(|(name, _)| column_name(name) == column.own_name)?;
            key_part(&cell_text(value)?, column, "").ok()
        };
        let parts = self.key.iter().map(|key| part(key).ok_or_else(|| Fault::row("")));
        (self.key.len() == dataset.key.names().len()).then(|| joined_key(parts).ok()).flatten()
    }

    /// Index of the column that a member means: by its name, by another spelling of it unless the object has
    /// that column already, or a new one while objects may still bring them.
    fn index(&mut self, raw_name: &str, in_object: &HashMap<usize, &str>, dataset: &Dataset) -> Option<usize> {
        if let Some(&index) = self.by_raw_name.get(raw_name) {
            return Some(index);
        }
        let spelt_otherwise = self.by_name.get(&column_name(raw_name)).copied();
        let index = match spelt_otherwise.filter(|index| !in_object.contains_key(index)) {
            Some(index) => index,
            None => {
                let copies = self.layout.copies.len();
                let index = self.layout.push(raw_name, dataset, self.shapes?);
                self.observe_columns(index, copies);
                if let Role::Key(_) = self.layout.columns[index].role {
                    self.key = self.layout.key();
                }
                // The first one of that name is what another spelling of it means.
                self.by_name.entry(self.layout.columns[index].own_name.clone()).or_insert(index);
                self.by_raw_name.insert(raw_name.to_owned(), index);
                return Some(index);
            }
        };
        if self.by_raw_name.len() < SPELLINGS_MAX {
            self.by_raw_name.insert(raw_name.to_owned(), index);
        }
        Some(index)
    }

    /// Notes what the values of columns look like whose kind the data decides.
    fn observe(&mut self, members: &[Member<'_>]) {
        if self.shapes.is_none() {
            return;
        }
        for (name, value) in members {
            let Some(index) = self.column_of(name) else { continue };
            let Some(cell) = cell_text(value) else { continue };
            let copies = self.layout.copies.iter().zip(&mut self.copy_observers);
            let copies = copies.filter(|(copy, _)| copy.source == index);
            let of_copies = copies.filter_map(|(copy, observer)| Some((&copy.column, observer.as_mut()?)));
            let own = self.observers[index].as_mut().map(|observer| (&self.layout.columns[index], observer));
            for (column, observer) in own.into_iter().chain(of_copies) {
                if let Some(meaning) = column.meaning(&cell) {
                    observer.observe(meaning, is_number(value), true, column);
                }
            }
        }
    }

    /// Whether an object is no data, as the dataset says.
    fn is_no_row(&self, members: &[Member<'_>], columns: &[Option<usize>], dataset: &Dataset) -> bool {
        dataset.no_rows.iter().any(|(column, pattern)| {
            let index = self.layout.index_of(column);
            let cells = members.iter().zip(columns).filter(|(_, column)| index.is_some() && **column == index);
            cells.filter_map(|((_, value), _)| cell_text(value)).any(|cell| pattern.is_match(cell.trim()))
        })
    }

    /// Makes observers of the columns and copies from these on.
    fn observe_columns(&mut self, first: usize, first_copy: usize) {
        let columns = self.layout.columns.iter().enumerate().skip(first);
        self.observers.extend(columns.map(|(index, column)| Observer::of(index, column)));
        let copies = self.layout.copies.iter().enumerate().skip(first_copy);
        self.copy_observers.extend(copies.map(|(copy, own)| Observer::of(copy, &own.column)));
    }

    fn key_of(&self, members: &[Member<'_>], dataset: &Dataset) -> Result<String, Fault> {
        const MISSING: &str = "the object has no key";
        let is_met = |name: &String| self.key.iter().any(|&key| self.layout.columns[key].name == *name);
        if let Some(name) = dataset.key.names().iter().find(|name| !is_met(name)) {
            return Err(Fault::cell(Some(name.clone()), MISSING));
        }
        let part = |&key: &usize| {
            let column = &self.layout.columns[key];
            let fault = |reason: &str| Fault::cell(Some(column.name.clone()), reason);
            let value = members.iter().rev().find(|(name, _)| self.column_of(name) == Some(key));
            let (_, value) = value.ok_or_else(|| fault(MISSING))?;
            let cell = cell_text(value).ok_or_else(|| fault("the key is not text that can be decoded"))?;
            key_part(&cell, column, MISSING)
        };
        joined_key(self.key.iter().map(part))
    }

    /// The column that a name of the file means, once it was met.
    fn column_of(&self, raw_name: &str) -> Option<usize> {
        let known = self.by_raw_name.get(raw_name).or_else(|| self.by_name.get(&column_name(raw_name)));
        known.copied()
    }

    fn absent(&self, present: &[Option<usize>]) -> Vec<usize> {
        let mut is_present = vec![false; self.layout.columns.len()];
        present.iter().flatten().for_each(|&column| is_present[column] = true);
        (0..is_present.len()).filter(|&column| !is_present[column]).collect()
    }
}

/// The text that arrow-json makes of a value; `None` when a text's escapes are no text.
pub fn cell_text(value: &RawValue) -> Option<Cow<'_, str>> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'"') if raw.contains('\\') => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        Some(b'"') => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
        Some(b'n') => Some(Cow::Borrowed("")),
        _ => Some(Cow::Borrowed(raw)),
    }
}

/// Whether a value is a number, and no text that looks like one.
fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// Whether characters are written by their numbers. arrow-json 60.1 reads those beyond U+FFFF wrongly (its tape decoder joins the
/// halves of a pair by OR where it must add, so that every second plane becomes another one: U+20BB7 is read as U+10BB7), so
/// it sees none of them.
fn has_escapes(raw: &[u8]) -> bool {
    memmem::find(raw, ESCAPE).is_some()
}

/// A value without such characters.
fn unescaped<'a>(value: &Cow<'a, RawValue>) -> Cow<'a, RawValue> {
    if !value.get().starts_with('"') || !has_escapes(value.get().as_bytes()) {
        return value.clone();
    }
    let text = serde_json::from_str::<String>(value.get()).expect("a text that cannot be decoded is a reject");
    Cow::Owned(serde_json::value::to_raw_value(&text).expect("a text is JSON"))
}

/// Why a value cannot be stored as text. What was an array is a text by now.
fn undecodable(value: &RawValue, was_array: bool) -> Option<String> {
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
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

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
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

type Member<'a> = (Cow<'a, str>, Cow<'a, RawValue>);

fn flatten<'a>(members: Vec<(Cow<'a, str>, &'a RawValue)>) -> Result<Vec<Member<'a>>, String> {
    let mut flat = Vec::with_capacity(members.len());
    for (name, value) in members {
        flatten_into(&mut flat, name, value, 0)?;
    }
    Ok(flat)
}

fn flatten_into<'a>(
    flat: &mut Vec<Member<'a>>,
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
            flatten_into(flat, Cow::Owned(format!("{name}_{inner}")), value, depth + 1)?;
        }
        return Ok(());
    }
    let value = if raw.starts_with('[') {
        Cow::Owned(serde_json::value::to_raw_value(raw).map_err(|error| error.to_string())?)
    } else {
        Cow::Borrowed(value)
    };
    flat.push((name, value));
    Ok(())
}

/// Writes members as an object.
struct OrderedMembers<'a>(&'a [Member<'a>]);

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
        let Members(members) = serde_json::from_str(r#"{"a":{"b":1,"c":{"d":"x"}},"e":[1, "y"]}"#).expect("JSON");
        let flat = flatten(members).expect("shallow");
        assert_eq!(
            serde_json::to_string(&OrderedMembers(&flat)).expect("JSON"),
            r#"{"a_b":1,"a_c_d":"x","e":"[1, \"y\"]"}"#
        );
    }
}
