//! Elements: the values of a JSON file that are its records, one after the other, in the memory
//! that one of them takes.
//!
//! They are those of an array, of NDJSON, values in a row, or of the array that `json.root` names
//! in a document; what else the document has is passed by as a stream. serde_json checks every
//! value and finds its end. That arrays and objects around them are complete is checked here.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::source::text::content::Window;
use serde::de::IgnoredAny;
use std::io::{self, Read};

/// Deepest nesting of skipped members: each level takes memory, and no export has so many.
const PASSED_DEPTH_MAX: usize = 1 << 12;

/// Members that an error names: enough to find the right one among them.
const MEMBERS_NAMED_MAX: usize = 20;

/// Characters of a name that an error shows.
const NAME_CHARS_MAX: usize = 60;

/// Where the reader stands among the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    /// Values one after the other, without an array around them.
    Stream,
    /// Between two elements, in an array or without one; the survey has checked what stands there.
    Resumed,
    FirstElement,
    AfterElement,
    AfterComma,
    /// Behind the array of a document, among its other members.
    AfterRoot,
    AfterAll,
    /// A resumed array is over; what follows was checked before.
    Ended,
}

/// Longest element, and the limit that says so.
#[derive(Clone, Copy, Debug)]
pub struct ElementMax {
    /// In bytes.
    pub bytes: usize,
    /// Name of the limit.
    pub limit: &'static str,
}

/// The elements of a file.
#[derive(Debug)]
pub struct Elements<'a> {
    window: Window<'a>,
    place: Place,
    document: Option<Document<'a>>,
    max: ElementMax,
    /// Elements so far.
    count: u64,
}

/// A document with the records somewhere in it.
#[derive(Debug)]
struct Document<'a> {
    dataset: &'a str,
    root: &'a str,
    /// For each open object, the rest of `root` to look for in it.
    open: Vec<&'a str>,
    is_found: bool,
    /// Paths of the members met so far, as far as an error names them.
    members: Vec<String>,
}

/// What was met in an object of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    /// Its beginning.
    Opening,
    /// A comma.
    Comma,
    /// A whole member.
    Member,
    /// The beginning of the array of records.
    Records,
}

impl<'a> Elements<'a> {
    /// From the window's place on; `count` elements came before.
    pub fn new(mut window: Window<'a>, dataset: &'a Dataset, max: ElementMax, count: u64) -> Self {
        let place = if window.offset() == 0 { Place::Start } else { Place::Resumed };
        if place == Place::Start && window.rest().starts_with(b"\xef\xbb\xbf") {
            window.advance(3);
        }
        let document = dataset.json.root.as_ref().map(|root| Document::of(root, &dataset.name));
        Self { window, place, document, max, count }
    }

    /// Whether nothing at all was met.
    pub fn is_blank(&self) -> bool {
        self.place == Place::Start
    }

    /// Moves behind the next element and returns its length; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is not complete JSON.
    pub fn next_length(&mut self) -> Result<Option<usize>, SyncError> {
        if !self.find()? {
            return Ok(None);
        }
        let length = self.value_length("an element", "the last element")?;
        self.count += 1;
        self.window.advance(length);
        Ok(Some(length))
    }

    /// The element of that length which was read last.
    pub fn last(&self, length: usize) -> &[u8] {
        self.window.passed(length)
    }

    /// Offset in the file of what follows the last element.
    pub const fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// Moves to the start of the next element; `false` at the end of the file.
    fn find(&mut self) -> Result<bool, SyncError> {
        loop {
            if self.place == Place::AfterRoot {
                self.pass_members(Met::Member)?;
                self.place = Place::AfterAll;
            }
            if self.place == Place::Ended {
                return Ok(false);
            }
            let Some(byte) = self.next_byte()? else {
                return match self.place {
                    Place::Start | Place::Stream | Place::Resumed | Place::AfterAll => Ok(false),
                    _ => Err(self.damaged("the array is not closed: the file is truncated")),
                };
            };
            let is_in_document = self.document.as_ref().is_some_and(|document| document.is_found);
            let (next, is_punctuation) = match (self.place, byte) {
                (Place::Start, b'{') if self.document.is_some() => {
                    self.window.advance(1);
                    self.open_document();
                    self.pass_members(Met::Opening)?;
                    self.place = Place::FirstElement;
                    continue;
                }
                (Place::Start, b'[') => (Place::FirstElement, true),
                (Place::Start, _) if self.document.is_some() => {
                    return Err(self.damaged("the file begins with no object and no array"));
                }
                (Place::FirstElement | Place::AfterElement, b']') if is_in_document => {
                    (Place::AfterRoot, true)
                }
                (Place::FirstElement | Place::AfterElement, b']') => (Place::AfterAll, true),
                (Place::AfterElement, b',') => (Place::AfterComma, true),
                (Place::Resumed, b',') => (Place::Resumed, true),
                (Place::Resumed, b']') => (Place::Ended, true),
                (Place::AfterComma, b']') => {
                    return Err(self.damaged("a comma stands before the end of the array"));
                }
                (Place::AfterElement, _) => {
                    return Err(self.damaged("a comma is missing between two elements"));
                }
                (Place::AfterAll, _) if is_in_document => {
                    return Err(self.damaged("something stands after the end of the document"));
                }
                (Place::AfterAll, _) => {
                    return Err(self.damaged("something stands after the end of the array"));
                }
                (Place::Start | Place::Stream, _) => (Place::Stream, false),
                (place @ (Place::Resumed | Place::AfterRoot | Place::Ended), _) => (place, false),
                (Place::FirstElement | Place::AfterComma, _) => (Place::AfterElement, false),
            };
            self.place = next;
            if !is_punctuation {
                return Ok(true);
            }
            self.window.advance(1);
        }
    }

    /// The next byte that is no white space, which the window then stands before; `None` at the end
    /// of the file.
    fn next_byte(&mut self) -> Result<Option<u8>, SyncError> {
        loop {
            let spaces =
                self.window.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.window.advance(spaces);
            match self.window.rest().first() {
                Some(&byte) => return Ok(Some(byte)),
                None if self.window.is_at_end() => return Ok(None),
                None => self.window.fill()?,
            }
        }
    }

    /// Length of the value that the window stands before, read in one piece.
    fn value_length(&mut self, what: &str, last: &str) -> Result<usize, SyncError> {
        loop {
            let mut stream =
                serde_json::Deserializer::from_slice(self.window.rest()).into_iter::<IgnoredAny>();
            let value = stream.next();
            let length = stream.byte_offset();
            let is_at_end = self.window.is_at_end();
            let ElementMax { bytes, limit } = self.max;
            match value {
                // A number may go on in the next block.
                Some(Ok(_)) if length < self.window.rest().len() || is_at_end => {
                    // Whether its end was in memory already says nothing of how long it is.
                    if length > bytes {
                        return Err(self.damaged(&format!(
                            "{what} is longer than {limit} allows ({bytes} bytes)"
                        )));
                    }
                    return Ok(length);
                }
                Some(Err(error)) if !error.is_eof() => {
                    return Err(self.damaged(&format!("{what} cannot be read as JSON: {error}")));
                }
                _ if is_at_end => {
                    return Err(self.damaged(&format!("{last} is cut off: the file is truncated")));
                }
                _ if self.window.rest().len() > bytes => {
                    return Err(self.damaged(&format!(
                        "{what} is longer than {limit} allows ({bytes} bytes)"
                    )));
                }
                _ => self.window.fill()?,
            }
        }
    }

    fn damaged(&self, what: &str) -> SyncError {
        SyncError::damaged(format!(
            "{what} (after element {}, byte {})",
            self.count,
            self.window.offset()
        ))
    }
}

/// The document around the array of records.
impl<'a> Elements<'a> {
    fn open_document(&mut self) {
        if let Some(document) = &mut self.document {
            document.open.push(document.root);
        }
    }

    /// Passes by members of the document, up to the first record or, once that was found, to the
    /// end of the document.
    fn pass_members(&mut self, after: Met) -> Result<(), SyncError> {
        let mut met = after;
        while let Some(byte) = self.byte_of_document()? {
            met = match (byte, met) {
                (b'}', Met::Opening | Met::Member) => {
                    self.window.advance(1);
                    self.close_object();
                    Met::Member
                }
                (b',', Met::Member) => {
                    self.window.advance(1);
                    Met::Comma
                }
                (b'"', Met::Opening | Met::Comma) => self.pass_member()?,
                (_, Met::Member) => {
                    return Err(
                        self.damaged("a comma is missing between two members of the document")
                    );
                }
                _ => return Err(self.damaged("a member of the document has no name")),
            };
            if met == Met::Records {
                return Ok(());
            }
        }
        match &self.document {
            Some(document) if !document.is_found => Err(SyncError::damaged(document.lacks_root())),
            _ => Ok(()),
        }
    }

    /// The next byte of the document that is no white space; `None` behind its end.
    fn byte_of_document(&mut self) -> Result<Option<u8>, SyncError> {
        if self.document.as_ref().is_none_or(|document| document.open.is_empty()) {
            return Ok(None);
        }
        self.next_byte()?
            .map(Some)
            .ok_or_else(|| self.damaged("the document is not closed: the file is truncated"))
    }

    fn close_object(&mut self) {
        if let Some(document) = &mut self.document {
            document.open.pop();
        }
    }

    /// Passes by a member, or steps into it where it is on the way to the records.
    fn pass_member(&mut self) -> Result<Met, SyncError> {
        let length = self.value_length("the name of a member", "the name of a member")?;
        // A name that is not text is not the name to look for.
        let name: String =
            serde_json::from_slice(&self.window.rest()[..length]).unwrap_or_default();
        self.window.advance(length);
        if self.byte_of_document()? != Some(b':') {
            return Err(self.damaged("a colon is missing behind the name of a member"));
        }
        self.window.advance(1);
        let byte = self.byte_of_document()?.unwrap_or_default();
        let step = match &mut self.document {
            Some(document) => document.step(&name, byte),
            None => Ok(Met::Member),
        };
        let step = step.map_err(|reason| self.damaged(&reason))?;
        match step {
            Met::Member => self.pass_value()?,
            _ => self.window.advance(1),
        }
        Ok(step)
    }

    /// Passes by a value of any length.
    fn pass_value(&mut self) -> Result<(), SyncError> {
        let mut bytes = Bytes::of(&mut self.window);
        let (value, length) = {
            let mut stream =
                serde_json::Deserializer::from_reader(&mut bytes).into_iter::<IgnoredAny>();
            let value = stream.next();
            (value, stream.byte_offset())
        };
        let failed = bytes.finish(length);
        if let Some(error) = failed {
            return Err(error);
        }
        match value {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) if error.is_io() => Err(self.damaged(&format!(
                "a member of the document is nested deeper than {PASSED_DEPTH_MAX}"
            ))),
            Some(Err(error)) if !error.is_eof() => {
                Err(self
                    .damaged(&format!("a member of the document cannot be read as JSON: {error}")))
            }
            _ => Err(self.damaged("a member of the document is cut off: the file is truncated")),
        }
    }
}

impl<'a> Document<'a> {
    const fn of(root: &'a str, dataset: &'a str) -> Self {
        Self { dataset, root, open: Vec::new(), is_found: false, members: Vec::new() }
    }

    /// What to do with a member whose value begins with that byte.
    fn step(&mut self, name: &str, byte: u8) -> Result<Met, String> {
        let wanted = self.open.last().copied().unwrap_or_default();
        self.note(name, wanted);
        let below = wanted
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'))
            .filter(|_| byte == b'{');
        let is_on_way = name == wanted || below.is_some();
        if is_on_way && self.is_found {
            return Err(format!("the document has `{}` twice", self.root));
        }
        if name == wanted {
            self.is_found = byte == b'[';
            return match self.is_found {
                true => Ok(Met::Records),
                false => Err(format!(
                    "`{}` is {}, where the array of records is expected",
                    self.root,
                    kind(byte)
                )),
            };
        }
        let Some(below) = below else { return Ok(Met::Member) };
        self.open.push(below);
        Ok(Met::Opening)
    }

    fn note(&mut self, name: &str, wanted: &str) {
        let above = &self.root[..self.root.len() - wanted.len()];
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let path = format!("{above}{name}");
        if self.members.len() <= MEMBERS_NAMED_MAX && !self.members.contains(&path) {
            self.members.push(path);
        }
    }

    fn lacks_root(&self) -> String {
        let named = &self.members[..self.members.len().min(MEMBERS_NAMED_MAX)];
        let named: Vec<String> = named.iter().map(|path| format!("`{path}`")).collect();
        let members = match named.is_empty() {
            true => "it has no members".to_owned(),
            false => format!("its members are {}", named.join(", ")),
        };
        let more = if self.members.len() > MEMBERS_NAMED_MAX { ", and more" } else { "" };
        format!(
            "the document has no `{}`, which `json.root` of dataset {} says to be the array of its records; {members}{more}",
            self.root, self.dataset
        )
    }
}

/// What a value is, by its first byte.
const fn kind(byte: u8) -> &'static str {
    match byte {
        b'{' => "an object",
        b'"' => "a text",
        b'n' => "null",
        b't' | b'f' => "true or false",
        _ => "no array",
    }
}

/// A window as a stream of bytes; it moves along with what is read.
struct Bytes<'w, 'a> {
    window: &'w mut Window<'a>,
    /// Bytes handed out. The last one is passed by when the next one is asked for: it may not be
    /// the value's.
    handed: usize,
    failure: Option<SyncError>,
    depth: usize,
    is_in_text: bool,
    is_escaped: bool,
}

impl<'w, 'a> Bytes<'w, 'a> {
    const fn of(window: &'w mut Window<'a>) -> Self {
        Self { window, handed: 0, failure: None, depth: 0, is_in_text: false, is_escaped: false }
    }

    /// Leaves the window behind a value of that length; why the file could not be read, if it could
    /// not.
    fn finish(self, length: usize) -> Option<SyncError> {
        if self.handed > 0 && length >= self.handed && !self.window.rest().is_empty() {
            self.window.advance(1);
        }
        self.failure
    }

    fn note(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.is_in_text => self.is_escaped = true,
            b'"' => self.is_in_text = !self.is_in_text,
            b'{' | b'[' if !self.is_in_text => self.depth += 1,
            b'}' | b']' if !self.is_in_text => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

impl Read for Bytes<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.handed > 0 && !self.window.rest().is_empty() {
            self.window.advance(1);
        }
        while self.window.rest().is_empty() {
            if self.window.is_at_end() {
                return Ok(0);
            }
            if let Err(error) = self.window.fill() {
                self.failure = Some(error);
                return Err(io::Error::other("the file cannot be read"));
            }
        }
        let (Some(first), Some(&byte)) = (buffer.first_mut(), self.window.rest().first()) else {
            return Ok(0);
        };
        *first = byte;
        self.handed += 1;
        self.note(byte);
        match self.depth > PASSED_DEPTH_MAX {
            true => Err(io::Error::other("nested too deep")),
            false => Ok(1),
        }
    }
}
