//! JSON rows: the objects of a JSON file as rows of columns.
//!
//! Nested objects are flattened: their members are named by their path (`a.b`, column `a_b`).
//! Arrays are kept as their JSON text, but for the one that holds an object's lines, which makes a
//! row of each line.

mod form;
mod no_rows;

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Owner};
use crate::feed::decimals::Observer;
use crate::feed::json_settings::JsonSettings;
use crate::feed::layout::{KeyPart, Layout, Role, Shapes, spoken_name};
use crate::source::rows::elements::{ElementMax, Elements};
use crate::source::rows::fits::Fits;
use crate::source::rows::json_fits::JsonFits;
use crate::source::rows::json_values::{
    HALF_A_PAIR, Member, Members, cell_text, flatten, has_escapes, is_null, is_number,
};
use crate::source::rows::object_lines::{OpenObject, repeated};
use crate::source::rows::{
    Fault, Form, Part, RowRef, SkippedLines, joined_key, key_part, text_key,
};
use crate::source::text::content::Window;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// Spellings of columns that are looked up at once; others are worked out again, as a file may
/// spell each object's otherwise.
const SPELLINGS_MAX: usize = 1 << 14;

/// The rows of a JSON file.
#[derive(Debug)]
pub struct JsonRows<'a> {
    elements: Elements<'a>,
    dataset: &'a Dataset,
    columns_max: usize,
    record_rows_max: usize,
    names: Box<Names<'a>>,
    /// The object of which lines are still to come.
    object: Option<Box<OpenObject>>,
    /// The row of the line that was read last.
    row: Vec<u8>,
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
    key: Vec<KeyPart>,
    /// What the values of each column have in common, while new columns may come.
    observers: Vec<Option<Observer>>,
    /// The same of the layout's copies.
    copy_observers: Vec<Option<Observer>>,
    /// How well values fit their columns, where that is asked.
    fits: Option<JsonFits>,
    /// The first column of each name, as tables would have it, of the record (`false`) and of its
    /// lines.
    by_name: HashMap<(bool, String), usize>,
    /// Where lines are.
    json: &'a JsonSettings,
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
        let mut names = Names::new(layout, Some(shapes), &dataset.json, limits);
        names.observe_columns(0, 0);
        Self::new(window, dataset, names, limits, 0)
    }

    /// The objects from the window's place on, of which `number` rows came before, with a known
    /// layout.
    pub fn resuming(
        window: Window<'a>,
        dataset: &'a Dataset,
        layout: &Layout,
        limits: &Limits,
        number: u64,
    ) -> Self {
        Self::new(
            window,
            dataset,
            Names::new(layout.clone(), None, &dataset.json, limits),
            limits,
            number,
        )
    }

    fn new(
        window: Window<'a>,
        dataset: &'a Dataset,
        names: Names<'a>,
        limits: &Limits,
        number: u64,
    ) -> Self {
        // With lines in it, an object is a record.
        let max = match dataset.json.lines {
            None => ElementMax { bytes: limits.row_bytes_max, limit: "row_bytes_max" },
            Some(_) => ElementMax {
                bytes: usize::try_from(limits.record_bytes_max).unwrap_or(usize::MAX),
                limit: "record_bytes_max",
            },
        };
        Self {
            elements: Elements::new(window, dataset, max, number),
            dataset,
            columns_max: limits.columns_max,
            record_rows_max: limits.record_rows_max,
            names: Box::new(names),
            object: None,
            row: Vec::new(),
            number,
        }
    }

    /// Also counts the values that do not fit columns whose kind a declaration says.
    pub fn counting_fits(mut self) -> Self {
        self.names.fits = Some(JsonFits::of(&self.names.layout));
        self
    }

    /// What was counted.
    pub fn take_fits(&mut self) -> Option<Fits> {
        self.names.fits.take().map(JsonFits::finish)
    }

    /// The columns that the objects had, and what is to be known of them.
    pub fn into_layout(self) -> (Layout, Vec<Observer>) {
        let Names { layout, observers, copy_observers, .. } = *self.names;
        let copies = copy_observers
            .into_iter()
            .enumerate()
            .filter_map(|(copy, observer)| Some(observer?.of_column(layout.columns.len() + copy)));
        let observers = observers.into_iter().flatten().chain(copies).collect();
        (layout, observers)
    }

    /// Whether nothing at all was met.
    pub fn is_blank(&self) -> bool {
        self.elements.is_blank()
    }

    /// Number of the row that was read last.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next row: an object, or a line of one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not complete JSON.
    pub fn next_row(&mut self) -> Result<Option<RowRef<'_>>, SyncError> {
        if let Some(path) = self.dataset.json.lines.as_ref() {
            return self.next_line(path);
        }
        let Some(length) = self.elements.next_length()? else { return Ok(None) };
        self.number += 1;
        let next_offset = self.elements.offset();
        let raw = self.elements.last(length);
        let (key, form, absent) = self.names.read(raw, self.number, self.dataset, Part::Row);
        check_columns(&self.names.layout, self.columns_max)?;
        let (number, offset, part) = (self.number, next_offset - length as u64, Part::Row);
        let (whole, skipped) = (raw, SkippedLines::default());
        Ok(Some(RowRef {
            number,
            offset,
            next_offset,
            raw,
            whole,
            key,
            form,
            absent,
            part,
            skipped,
        }))
    }

    /// The next line of the object that is open, or the first one of the next object.
    fn next_line(&mut self, path: &str) -> Result<Option<RowRef<'_>>, SyncError> {
        let mut object = match self.object.take() {
            Some(object) => object,
            None => {
                let Some(length) = self.elements.next_length()? else { return Ok(None) };
                let raw = self.elements.last(length);
                let mut object = Box::new(OpenObject::of(raw, path, self.record_rows_max)?);
                if self.names.is_no_record(&mut object, raw, path, self.dataset, &mut self.row) {
                    return Ok(Some(self.skipped_object(&object)));
                }
                object
            }
        };
        let (part, skipped) = (object.next_part(), object.skipped());
        let number = self.number + skipped.before + 1;
        self.number = number + skipped.after;
        object.write_row(self.elements.last(object.length), &mut self.row);
        let (key, form, absent) = self.names.read(&self.row, number, self.dataset, part);
        check_columns(&self.names.layout, self.columns_max)?;
        let form = object.checked(key, form, self.elements.last(object.length), path);
        if part == (Part::FirstLine { is_last: false }) {
            object.repeated = repeated(&self.row, path, |name| self.names.is_repeated(name));
        }
        object.rows_read += 1;
        let (next_offset, key) = (self.elements.offset(), object.key.clone());
        let offset = next_offset - object.length as u64;
        if !part.ends_object() {
            self.object = Some(object);
        }
        let (raw, whole) = (self.row.as_slice(), self.row.as_slice());
        Ok(Some(RowRef {
            number,
            offset,
            next_offset,
            raw,
            whole,
            key,
            form,
            absent,
            part,
            skipped,
        }))
    }

    /// An object that is no data, with all of its lines. Without lines it counts as one row, as
    /// ever.
    fn skipped_object(&mut self, object: &OpenObject) -> RowRef<'_> {
        let rows = object.lines().max(1) as u64;
        self.number += rows;
        let next_offset = self.elements.offset();
        let raw = self.elements.last(object.length);
        RowRef {
            number: self.number,
            offset: next_offset - object.length as u64,
            next_offset,
            raw,
            whole: raw,
            key: None,
            form: Form::Skipped,
            absent: Vec::new(),
            part: Part::Row,
            skipped: SkippedLines { before: rows - 1, after: 0 },
        }
    }
}

fn check_columns(layout: &Layout, columns_max: usize) -> Result<(), SyncError> {
    match layout.columns.len() > columns_max {
        true => Err(SyncError::damaged(format!(
            "its objects have more columns than columns_max allows ({columns_max})"
        ))),
        false => Ok(()),
    }
}

impl<'a> Names<'a> {
    fn new(
        layout: Layout,
        shapes: Option<&'a Shapes>,
        json: &'a JsonSettings,
        limits: &Limits,
    ) -> Self {
        let by_raw_name = layout
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| (column.raw_name.clone(), index))
            .collect();
        let mut by_name = HashMap::new();
        for (index, column) in layout.columns.iter().enumerate() {
            by_name
                .entry((json.is_of_lines(&column.raw_name), column.own_name.clone()))
                .or_insert(index);
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
            fits: None,
            by_name,
            json,
            field_bytes_max,
            columns_max,
        }
    }

    fn read(
        &mut self,
        raw: &[u8],
        number: u64,
        dataset: &Dataset,
        part: Part,
    ) -> (Option<String>, Form, Vec<usize>) {
        let broken = |key, fault| (key, Form::Broken(fault), Vec::new());
        // What is not text is replaced, so that the key can be read: the whole record is rejected
        // then.
        let text = String::from_utf8_lossy(raw);
        let Members(members) = match serde_json::from_str(&text) {
            Ok(members) => members,
            Err(_) if raw.starts_with(b"{") => {
                return broken(
                    None,
                    Fault::row(&format!("the name of a member has {HALF_A_PAIR}")),
                );
            }
            Err(_) => return broken(None, Fault::row("the element is not an object")),
        };
        let is_nested = members.iter().any(|(_, value)| value.get().starts_with(['{', '[']));
        let own_key = self.known_key(&members, dataset);
        let has_key = self.key.len() == dataset.key.names().len();
        let unnamed = if has_key { Vec::new() } else { members.clone() };
        let members = match flatten(members) {
            // A value there that is not a line is absent, or has a fault of its own.
            Ok(members) => members
                .into_iter()
                .filter(|(name, _)| !self.json.is_lines(name))
                .collect::<Vec<_>>(),
            Err(reason) => {
                let own_key = own_key.or_else(|| self.first_key(&unnamed, dataset));
                return broken(own_key, Fault::row(&reason));
            }
        };
        let columns = match self.columns(&members, dataset) {
            Ok(columns) => columns,
            Err(name) => {
                let own_key = own_key.or_else(|| self.first_key(&unnamed, dataset));
                return broken(
                    own_key,
                    Fault::row(&format!("two members of the object mean the column `{name}`")),
                );
            }
        };
        // Of an object with lines it was asked before, of each line by itself.
        if part == Part::Row && self.is_no_row(&members, &columns, dataset, |_| true) {
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
                Fault::row(
                    "the bytes are not UTF-8 text: export the file as UTF-8, or set `encoding` of the dataset",
                ),
            );
        }
        let faulty = members.iter().zip(&columns).find_map(|((_, value), column)| {
            Some((column, self.unstorable(value, matches!(value, Cow::Owned(_)))?))
        });
        if let Some((column, reason)) = faulty {
            let column = column.map(|column| self.layout.columns[column].name.clone());
            return broken(Some(key), Fault::cell(column, &reason));
        }
        if let Some(fault) = self.misfit(&members, &columns) {
            return broken(Some(key), fault);
        }
        if let Some(fits) = &mut self.fits {
            fits.observe(&members, &columns, number, &self.layout);
        }
        let is_respelt = members.iter().zip(&columns).any(|((name, _), column)| {
            column.is_some_and(|column| self.layout.columns[column].raw_name != *name)
        });
        let has_unclear = members
            .iter()
            .zip(&columns)
            .any(|((_, value), column)| self.is_unclear(value, *column));
        let form = if is_nested || is_respelt || has_unclear || has_escapes(raw) {
            let rewritten = self.rewritten(&members, &columns);
            Form::Rewritten { bytes: rewritten, is_repaired: false }
        } else {
            Form::Fits
        };
        (Some(key), form, self.absent(&columns, part))
    }

    /// The column of each member; the name of a column that two members with different names mean.
    fn columns(
        &mut self,
        members: &[Member<'_>],
        dataset: &Dataset,
    ) -> Result<Vec<Option<usize>>, String> {
        let mut columns: Vec<Option<usize>> = Vec::with_capacity(members.len());
        let mut in_object: HashMap<usize, &str> =
            HashMap::with_capacity(members.len().min(self.columns_max));
        for (name, _) in members {
            let column = self.index(name, &in_object, dataset);
            // Further members cannot make the file acceptable.
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

    /// The key of an object whose other members cannot be read.
    fn known_key(
        &self,
        members: &[(Cow<'_, str>, &RawValue)],
        dataset: &Dataset,
    ) -> Option<String> {
        let part = |&key: &KeyPart| {
            let column = self.layout.key_column(key);
            let (_, value) =
                members.iter().rev().find(|(name, _)| spoken_name(name) == column.own_name)?;
            key_part(&cell_text(value)?, column, "").ok()
        };
        let parts = self.key.iter().map(|key| part(key).ok_or_else(|| Fault::row("")));
        (self.key.len() == dataset.key.names().len()).then(|| joined_key(parts).ok()).flatten()
    }

    /// The same where no object before had a key, so that a later look finds the same key.
    fn first_key(
        &mut self,
        members: &[(Cow<'_, str>, &RawValue)],
        dataset: &Dataset,
    ) -> Option<String> {
        for (name, _) in members.iter().filter(|(name, _)| dataset.is_key_name(name)) {
            self.index(name, &HashMap::new(), dataset);
        }
        self.known_key(members, dataset)
    }

    /// Index of the column that a member means: by its name, by another spelling of it unless the
    /// object has that column already, or a new one while objects may still bring them.
    fn index(
        &mut self,
        raw_name: &str,
        in_object: &HashMap<usize, &str>,
        dataset: &Dataset,
    ) -> Option<usize> {
        if let Some(&index) = self.by_raw_name.get(raw_name) {
            return Some(index);
        }
        let name = (self.json.is_of_lines(raw_name), spoken_name(raw_name));
        let spelt_otherwise = self.by_name.get(&name).copied();
        let index = match spelt_otherwise.filter(|index| !in_object.contains_key(index)) {
            Some(index) => index,
            None => {
                let copies = self.layout.copies.len();
                // Every object was seen, so a column of its own would exist.
                let Some(shapes) = self.shapes else { return spelt_otherwise };
                let index = self.layout.push(raw_name, dataset, shapes);
                self.observe_columns(index, copies);
                let copied = self.layout.copies[copies..].iter().map(|copy| &copy.column);
                let mut came = copied.chain([&self.layout.columns[index]]);
                if came.any(|column| matches!(column.role, Role::Key(_))) {
                    self.key = self.layout.key();
                }
                // Another spelling of a name means the first column of that name.
                self.by_name
                    .entry((name.0, self.layout.columns[index].own_name.clone()))
                    .or_insert(index);
                self.by_raw_name.insert(raw_name.to_owned(), index);
                return Some(index);
            }
        };
        if self.by_raw_name.len() < SPELLINGS_MAX {
            self.by_raw_name.insert(raw_name.to_owned(), index);
        }
        Some(index)
    }

    /// Observes the values of columns whose kind the data decides.
    fn observe(&mut self, members: &[Member<'_>]) {
        if self.shapes.is_none() {
            return;
        }
        for (name, value) in members {
            // `null` is no value, whatever words a dataset has for none.
            let Some(index) = self.column_of(name).filter(|_| !is_null(value)) else { continue };
            let Some(cell) = cell_text(value) else { continue };
            let copies = self.layout.copies.iter().zip(&mut self.copy_observers);
            let copies = copies.filter(|(copy, _)| copy.source == index);
            let of_copies =
                copies.filter_map(|(copy, observer)| Some((&copy.column, observer.as_mut()?)));
            let own = self.observers[index]
                .as_mut()
                .map(|observer| (&self.layout.columns[index], observer));
            for (column, observer) in own.into_iter().chain(of_copies) {
                if let Some(meaning) = column.meaning(&cell) {
                    observer.observe(meaning, is_number(value), true, column);
                }
            }
        }
    }

    /// Makes observers of the columns and copies from these on.
    fn observe_columns(&mut self, first: usize, first_copy: usize) {
        let columns = self.layout.columns.iter().enumerate().skip(first);
        self.observers.extend(columns.map(|(index, column)| Observer::of(index, column)));
        let copies = self.layout.copies.iter().enumerate().skip(first_copy);
        self.copy_observers.extend(copies.map(|(copy, own)| Observer::of(copy, &own.column)));
        if let Some(fits) = &mut self.fits {
            fits.extend(&self.layout);
        }
    }

    fn key_of(&self, members: &[Member<'_>], dataset: &Dataset) -> Result<String, Fault> {
        const MISSING: &str = "the object has no key";
        let is_met =
            |name: &String| self.key.iter().any(|&key| self.layout.key_column(key).name == *name);
        if let Some(name) = dataset.key.names().iter().find(|name| !is_met(name)) {
            return Err(Fault::cell(Some(name.clone()), MISSING));
        }
        let part = |&key: &KeyPart| {
            let column = self.layout.key_column(key);
            let fault = |reason: &str| Fault::cell(Some(column.name.clone()), reason);
            let value =
                members.iter().rev().find(|(name, _)| self.column_of(name) == Some(key.source));
            let (_, value) = value.ok_or_else(|| fault(MISSING))?;
            let cell =
                cell_text(value).ok_or_else(|| fault("the key is not text that can be decoded"))?;
            key_part(&cell, column, MISSING)
        };
        joined_key(self.key.iter().map(part))
    }

    /// The column that a name of the file means, once it was met.
    fn column_of(&self, raw_name: &str) -> Option<usize> {
        let by_name =
            || self.by_name.get(&(self.json.is_of_lines(raw_name), spoken_name(raw_name)));
        self.by_raw_name.get(raw_name).or_else(by_name).copied()
    }

    /// Whether each row of an object has a member of its record: the key, and what was declared to
    /// be a line's.
    fn is_repeated(&self, raw_name: &str) -> bool {
        !self.json.is_of_lines(raw_name)
            && self.column_of(raw_name).is_some_and(|column| self.is_for_each_line(column))
    }

    /// Whether a column of the file is the key, or feeds one of a line.
    fn is_for_each_line(&self, column: usize) -> bool {
        let copies = self
            .layout
            .copies
            .iter()
            .filter(|copy| copy.source == column)
            .map(|copy| copy.column.role);
        let mut roles = copies.chain([self.layout.columns[column].role]);
        roles.any(|role| matches!(role, Role::Key(_) | Role::Column(Owner::Line)))
    }

    fn absent(&self, present: &[Option<usize>], part: Part) -> Vec<usize> {
        let columns = &self.layout.columns;
        let mut is_present = vec![false; columns.len()];
        present.iter().flatten().for_each(|&column| is_present[column] = true);
        // For further lines this is implied, and there may be many of them.
        let is_said = |column: usize| {
            !matches!(part, Part::LaterLine { .. })
                || !columns[column].is_of_first_row(self.json)
                || self.is_for_each_line(column)
        };
        (0..is_present.len()).filter(|&column| !is_present[column] && is_said(column)).collect()
    }
}
