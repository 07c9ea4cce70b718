//! Encoding: finds the encoding of a text, and converts it to UTF-8.
//!
//! It never guesses if the guess could be wrong. A text that is neither UTF-8 nor UTF-16 is read
//! only if the usual encodings of Latin letters all make the same text of it. Bytes that cannot be
//! decoded become a sequence that is not UTF-8, so that their row is rejected; [`written`] returns
//! the bytes that the file had there.

use crate::error::SyncError;
use crate::feed::encoding::Encoding;
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::mem::{convert_utf16_to_utf8, utf16_valid_up_to};
use encoding_rs::{Decoder, DecoderResult, ISO_8859_15, WINDOWS_1250, WINDOWS_1252, WINDOWS_1254};
use memchr::memchr;
use std::sync::LazyLock;

/// Bytes at the beginning in which UTF-16 without a mark shows by its zero bytes: a header, which
/// is mostly ASCII.
const SAMPLE_BYTES: usize = 1024;

/// Minimum percentage of ASCII characters at the beginning of UTF-16 text.
const ASCII_PERCENT_MIN: usize = 60;

/// The encodings that exports in Latin letters are written in. What all of them read alike needs no
/// declaration.
const USUAL: [&encoding_rs::Encoding; 4] = [WINDOWS_1250, WINDOWS_1252, WINDOWS_1254, ISO_8859_15];

/// Stands before a byte that could not be decoded, so that such bytes never make a character of
/// UTF-8 together.
const UNDECODED: u8 = 0xff;

/// What a single-byte encoding makes of each byte.
type Table = [Option<char>; 256];

/// The table of the first of [`USUAL`], without the bytes that another one reads differently.
static SHARED: LazyLock<Table> = LazyLock::new(|| {
    let tables = USUAL.map(table);
    let mut shared = tables[0];
    for (byte, shared) in shared.iter_mut().enumerate() {
        if tables.iter().any(|table| table[byte] != *shared) {
            *shared = None;
        }
    }
    shared
});

/// What the bytes of a text, given block by block, show about its encoding.
#[derive(Debug)]
pub struct Guess {
    is_begun: bool,
    mark: Option<Encoding>,
    settled: Option<Encoding>,
    /// Characters of several bytes in UTF-8.
    characters: u64,
    /// Places that are no UTF-8.
    errors: u64,
    /// Those of them that may be part of a word in another encoding.
    halves: u64,
    /// The byte before what comes next.
    last: u8,
    /// A byte that is no UTF-8 and of which the next one tells whether it may be half of a
    /// character.
    open: Option<u8>,
    /// Whether every byte above ASCII is the same character in all usual encodings.
    is_shared: bool,
    /// The beginning of a character that the next block may end.
    tail: Vec<u8>,
}

impl Default for Guess {
    fn default() -> Self {
        Self {
            is_begun: false,
            mark: None,
            settled: None,
            characters: 0,
            errors: 0,
            halves: 0,
            last: 0,
            open: None,
            is_shared: true,
            tail: Vec::new(),
        }
    }
}

/// What a text without a declaration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guessed {
    /// This.
    Is(Encoding),
    /// Neither UTF-8 nor UTF-16, and whether it is the same text in all usual encodings.
    Other {
        /// Whether it is.
        is_shared: bool,
    },
}

impl Guess {
    /// Takes the next bytes into account.
    pub fn observe(&mut self, block: &[u8]) {
        if !self.is_begun {
            self.is_begun = true;
            self.mark = marked(block);
            self.settled = self.mark.or_else(|| by_zero_bytes(block));
        }
        // Damaged text proves nothing.
        if self.settled.is_none() && memchr(0, block).is_some() {
            self.settled = Some(Encoding::Utf8);
        }
        if self.settled.is_some() {
            return;
        }
        if let (Some(byte), Some(&next)) = (self.open, block.first()) {
            self.open = None;
            self.halves += u64::from(is_half(byte, next));
        }
        if self.tail.is_empty() && block.is_ascii() {
            self.last = block.last().copied().unwrap_or(self.last);
            return;
        }
        match self.tail.is_empty() {
            true => self.judge(block),
            false => {
                let mut bytes = std::mem::take(&mut self.tail);
                bytes.extend(block);
                self.judge(&bytes);
            }
        }
    }

    /// What a byte order mark says; nothing is stronger.
    pub const fn mark(&self) -> Option<Encoding> {
        self.mark
    }

    /// Whether a text is UTF-8 but for a few places, as one that somebody damaged is.
    pub const fn is_damaged_utf8(&self) -> bool {
        /// Text in another encoding has almost no UTF-8 characters among its errors.
        const CHARACTERS_PER_ERROR_MIN: u64 = 10;
        self.settled.is_none()
            && self.errors > 0
            && self.errors * CHARACTERS_PER_ERROR_MIN <= self.characters
    }

    /// What the text is, once all of it was observed. Text in UTF-8 that was damaged here and there
    /// is UTF-8, in which the wrong bytes show. Where there is little of it, its characters may be
    /// some of another encoding's, if the wrong bytes are, too: `木` of GBK is `ľ` of UTF-8.
    pub fn guessed(mut self) -> Guessed {
        self.errors += u64::from(!self.tail.is_empty());
        self.halves += u64::from(self.tail.len() > 1);
        let is_utf8 = self.errors == 0
            || self.is_damaged_utf8()
            || (self.errors <= self.characters && self.halves == 0);
        match self.settled {
            Some(encoding) => Guessed::Is(encoding),
            None if is_utf8 => Guessed::Is(Encoding::Utf8),
            None => Guessed::Other { is_shared: self.is_shared && self.tail.iter().all(is_shared) },
        }
    }

    fn judge(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.last = text.bytes().last().unwrap_or(self.last);
                    return self.count_characters(text.as_bytes());
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    self.count_characters(valid);
                    self.last = valid.last().copied().unwrap_or(self.last);
                    let Some(length) = error.error_len() else {
                        self.tail = invalid.to_vec();
                        return;
                    };
                    self.errors += 1;
                    match invalid.get(length) {
                        _ if length > 1 || !self.last.is_ascii() => self.halves += 1,
                        Some(&next) => self.halves += u64::from(is_half(invalid[0], next)),
                        None => self.open = Some(invalid[0]),
                    }
                    self.last = invalid[length - 1];
                    self.is_shared &= invalid[..length].iter().all(is_shared);
                    rest = &invalid[length..];
                }
            }
        }
    }

    fn count_characters(&mut self, text: &[u8]) {
        if text.is_ascii() {
            return;
        }
        self.characters += text.iter().filter(|&&byte| byte >= 0xc0).count() as u64;
        // Each would be two or more characters in another encoding, but only if the text were in
        // one.
        self.is_shared = self.is_shared && text.iter().all(is_shared);
    }
}

/// Whether a byte may be a character of another encoding together with the next one: the second one
/// is another such byte, or ASCII from `@` on (Shift_JIS, GBK, Big5).
const fn is_half(byte: u8, next: u8) -> bool {
    !next.is_ascii() || matches!((byte, next), (0x81..=0xfe, b'@'..=b'~'))
}

fn is_shared(byte: &u8) -> bool {
    SHARED[usize::from(*byte)].is_some()
}

/// The encoding that a text in neither UTF-8 nor UTF-16 looks like, of which the blocks are given
/// one by one.
pub struct Look(EncodingDetector);

impl std::fmt::Debug for Look {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Look")
    }
}

impl Default for Look {
    fn default() -> Self {
        Self(EncodingDetector::new(Iso2022JpDetection::Allow))
    }
}

impl Look {
    /// Takes the next bytes into account.
    pub fn observe(&mut self, block: &[u8]) {
        self.0.feed(block, false);
    }

    /// What it looks like, and whether that is one of the usual ones.
    pub fn finish(mut self) -> (Encoding, bool) {
        self.0.feed(&[], true);
        let encoding = self.0.guess(None, Utf8Detection::Deny);
        (
            Encoding::of_label(encoding.name()).unwrap_or(Encoding::Legacy(WINDOWS_1252)),
            USUAL.contains(&encoding),
        )
    }
}

/// Which encoding a byte order mark names.
fn marked(bytes: &[u8]) -> Option<Encoding> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some(Encoding::Utf8),
        [0xff, 0xfe, ..] => Some(Encoding::Utf16Le),
        [0xfe, 0xff, ..] => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// UTF-16 text whose beginning is mostly ASCII has a zero byte beside every such character, and
/// hardly one elsewhere.
fn by_zero_bytes(bytes: &[u8]) -> Option<Encoding> {
    let units = || bytes[..bytes.len().min(SAMPLE_BYTES)].chunks_exact(2);
    let zeros = |place: usize| units().filter(|unit| unit[place] == 0).count();
    let is_most = |zeros: usize| zeros > 0 && zeros * 100 >= units().count() * ASCII_PERCENT_MIN;
    match (zeros(0), zeros(1)) {
        (few, most) if is_most(most) && few * 10 <= most => Some(Encoding::Utf16Le),
        (most, few) if is_most(most) && few * 10 <= most => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// What a single-byte encoding makes of each byte. Control characters of the upper half are no
/// text: where an encoding leaves a byte open, the standard has one of them.
fn table(encoding: &'static encoding_rs::Encoding) -> Table {
    let mut table = [None; 256];
    for (byte, character) in (0..=u8::MAX).zip(&mut table) {
        let text = encoding
            .decode_without_bom_handling_and_without_replacement(std::slice::from_ref(&byte));
        *character = text
            .and_then(|text| text.chars().next())
            .filter(|c| !('\u{80}'..='\u{9f}').contains(c));
    }
    table
}

/// Makes UTF-8 of a text, block by block.
#[derive(Debug)]
pub struct Transcoder {
    kind: Kind,
    /// Whether something could not be decoded.
    is_broken: bool,
}

enum Kind {
    /// UTF-8: nothing is to be done.
    Same,
    /// UTF-16, with bytes that make a character only with what comes next.
    Utf16 { encoding: Encoding, decode: fn([u8; 2]) -> u16, carry: Vec<u8> },
    /// An encoding of single bytes.
    Bytes(Box<Table>),
    /// Any other one, with the last bytes that were read.
    Stream { decoder: Box<Decoder>, read: Vec<u8> },
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Same => "Same",
            Self::Utf16 { .. } => "Utf16",
            Self::Bytes(_) => "Bytes",
            Self::Stream { .. } => "Stream",
        })
    }
}

impl Transcoder {
    /// Of an encoding.
    pub fn new(encoding: Encoding) -> Self {
        let utf16 = |decode| Kind::Utf16 { encoding, decode, carry: Vec::new() };
        let kind = match encoding {
            Encoding::Utf8 => Kind::Same,
            Encoding::Utf16Le => utf16(u16::from_le_bytes),
            Encoding::Utf16Be => utf16(u16::from_be_bytes),
            Encoding::Legacy(encoding) if encoding.is_single_byte() => {
                Kind::Bytes(Box::new(table(encoding)))
            }
            Encoding::Legacy(encoding) => Kind::Stream {
                decoder: Box::new(encoding.new_decoder_without_bom_handling()),
                read: Vec::new(),
            },
        };
        Self { kind, is_broken: false }
    }

    /// Appends the next bytes to `text`.
    pub fn transcode(&mut self, bytes: &[u8], text: &mut Vec<u8>) {
        match &mut self.kind {
            Kind::Same => text.extend(bytes),
            Kind::Utf16 { decode, carry, .. } => transcode_utf16(carry, bytes, *decode, text),
            Kind::Bytes(table) => self.is_broken |= transcode_bytes(table, bytes, text),
            Kind::Stream { decoder, read } => {
                self.is_broken |= transcode_stream(decoder, read, bytes, false, text);
            }
        }
    }

    /// Whether something could not be decoded so far; of UTF-8 and UTF-16 only the text tells.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Ends the text.
    ///
    /// # Errors
    ///
    /// When it ends in the middle of a character.
    pub fn finish(self, text: &mut Vec<u8>) -> Result<(), SyncError> {
        match self.kind {
            Kind::Utf16 { encoding, carry, .. } if carry.len() % 2 == 1 => {
                return Err(SyncError::damaged(format!(
                    "it is {} and ends in the middle of a character: the file is truncated",
                    encoding.name()
                )));
            }
            Kind::Utf16 { decode, carry, .. } => append_utf16(&units(&carry, decode), text),
            Kind::Stream { mut decoder, mut read } => {
                transcode_stream(&mut decoder, &mut read, &[], true, text);
            }
            Kind::Same | Kind::Bytes(_) => {}
        }
        Ok(())
    }
}

/// Whether any byte has no character.
fn transcode_bytes(table: &Table, mut bytes: &[u8], text: &mut Vec<u8>) -> bool {
    let mut is_broken = false;
    let mut encoded = [0; 4];
    while !bytes.is_empty() {
        let ascii = encoding_rs::Encoding::ascii_valid_up_to(bytes);
        text.extend(&bytes[..ascii]);
        let Some((&byte, rest)) = bytes[ascii..].split_first() else { break };
        match table[usize::from(byte)] {
            Some(character) => text.extend(character.encode_utf8(&mut encoded).as_bytes()),
            None => {
                is_broken = true;
                text.extend([UNDECODED, byte]);
            }
        }
        bytes = rest;
    }
    is_broken
}

/// Whether any bytes have no character.
fn transcode_stream(
    decoder: &mut Decoder,
    read: &mut Vec<u8>,
    mut bytes: &[u8],
    is_last: bool,
    text: &mut Vec<u8>,
) -> bool {
    // The longest sequence that a decoder finds fault with, and what it may have read behind it.
    const READ_KEPT: usize = 8;
    let mut is_broken = false;
    loop {
        let start = text.len();
        let room = decoder
            .max_utf8_buffer_length_without_replacement(bytes.len())
            .expect("a block is small");
        text.resize(start + room, 0);
        let (result, taken, written) =
            decoder.decode_to_utf8_without_replacement(bytes, &mut text[start..], is_last);
        text.truncate(start + written);
        read.extend(&bytes[..taken]);
        bytes = &bytes[taken..];
        if let DecoderResult::Malformed(length, behind) = result {
            is_broken = true;
            let end = read.len().saturating_sub(usize::from(behind));
            let malformed = &read[end.saturating_sub(usize::from(length))..end];
            // ASCII among them is part of a sequence that the encoding does not have; alone it
            // would be text.
            text.extend(malformed.iter().flat_map(|&byte| [UNDECODED, byte | 0x80]));
        }
        read.drain(..read.len().saturating_sub(READ_KEPT));
        if result == DecoderResult::InputEmpty {
            return is_broken;
        }
    }
}

fn transcode_utf16(
    carry: &mut Vec<u8>,
    bytes: &[u8],
    decode: fn([u8; 2]) -> u16,
    text: &mut Vec<u8>,
) {
    let mut all = std::mem::take(carry);
    all.extend(bytes);
    let mut units = units(&all, decode);
    let mut taken = units.len() * 2;
    // The second half of a pair may come with the next block.
    if units.pop_if(|last| (0xd800..0xdc00).contains(last)).is_some() {
        taken -= 2;
    }
    *carry = all[taken..].to_vec();
    append_utf16(&units, text);
}

fn units(bytes: &[u8], decode: fn([u8; 2]) -> u16) -> Vec<u16> {
    bytes.chunks_exact(2).map(|unit| decode([unit[0], unit[1]])).collect()
}

/// Half a pair becomes three bytes, as UTF-8 would write it if it could: they are no UTF-8.
fn append_utf16(mut units: &[u16], text: &mut Vec<u8>) {
    while !units.is_empty() {
        let (valid, rest) = units.split_at(utf16_valid_up_to(units));
        let start = text.len();
        text.resize(start + valid.len() * 3, 0);
        let written = convert_utf16_to_utf8(valid, &mut text[start..]);
        text.truncate(start + written);
        let Some((&half, rest)) = rest.split_first() else { return };
        let [high, low] = half.to_be_bytes();
        text.extend([0xe0 | high >> 4, 0x80 | (high & 0x0f) << 2 | low >> 6, 0x80 | (low & 0x3f)]);
        units = rest;
    }
}

/// The bytes that the file has where its text is no UTF-8.
pub fn written(invalid: &[u8], encoding: Encoding) -> Vec<u8> {
    let to_bytes = match encoding {
        Encoding::Utf8 => return invalid.to_vec(),
        Encoding::Legacy(_) => {
            return invalid.chunks(2).filter_map(|pair| pair.get(1)).copied().collect();
        }
        Encoding::Utf16Le => u16::to_le_bytes,
        Encoding::Utf16Be => u16::to_be_bytes,
    };
    let halves = invalid.chunks_exact(3);
    let half = |bytes: &[u8]| {
        (u16::from(bytes[0] & 0x0f) << 12)
            | (u16::from(bytes[1] & 0x3f) << 6)
            | u16::from(bytes[2] & 0x3f)
    };
    halves.flat_map(|bytes| to_bytes(half(bytes))).collect()
}

#[cfg(test)]
mod tests;
