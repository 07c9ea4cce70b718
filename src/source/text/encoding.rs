//! Encoding: finds out how a text's characters are written as bytes, and makes UTF-8 of them.
//!
//! Nothing is guessed that could be wrong: without a mark a text is Windows-1252 only when it cannot be UTF-8, has no
//! NUL, every byte above ASCII stands where Western text would have it, and more than one of them could hardly mean
//! anything else: a single odd byte is damage rather than an encoding. What cannot be decoded stays a sequence that is
//! no UTF-8 either, so that its row is rejected, and [`written`] gives the bytes back that the file had there.

use crate::error::SyncError;
use crate::feed::dataset::Encoding;
use encoding_rs::WINDOWS_1252;
use encoding_rs::mem::{convert_utf16_to_utf8, utf16_valid_up_to};
use memchr::memchr;

/// Bytes at the beginning in which UTF-16 without a mark shows by its zero bytes: a header, which is mostly ASCII.
const SAMPLE_BYTES: usize = 1024;

/// Of 100 characters at the beginning of UTF-16 text, those that must be ASCII.
const ASCII_PERCENT_MIN: usize = 60;

/// Places that must read as Western text before a file is taken for it: one may be a damaged byte.
const PROOFS_MIN: u32 = 2;

/// Bytes around one that [`witness`] and UTF-8 ask for, before and after it.
const CONTEXT_BYTES: usize = 3;

/// What a text's bytes, met block by block, say about its encoding. Most texts are settled by their first block.
#[derive(Debug, Default)]
pub struct Guess {
    is_begun: bool,
    mark: Option<Encoding>,
    settled: Option<Encoding>,
    /// Places that read as Western text, up to [`PROOFS_MIN`].
    proofs: u32,
    /// The last bytes: of them [`CONTEXT_BYTES`] are to be judged with what comes next, those before were judged.
    tail: Vec<u8>,
}

impl Guess {
    /// Takes the next bytes into account.
    pub fn observe(&mut self, block: &[u8]) {
        if !self.is_begun {
            self.is_begun = true;
            self.mark = marked(block);
            self.settled = self.mark.or_else(|| by_zero_bytes(block));
        }
        // Text that somebody damaged proves nothing.
        if self.settled.is_none() && memchr(0, block).is_some() {
            self.settled = Some(Encoding::Utf8);
        }
        if self.settled.is_some() {
            return;
        }
        if block.is_ascii() && block.len() >= 2 * CONTEXT_BYTES && self.tail.is_ascii() {
            self.tail = block[block.len() - 2 * CONTEXT_BYTES..].to_vec();
            return;
        }
        let judged = self.tail.len().saturating_sub(CONTEXT_BYTES);
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend(block);
        self.judge(&bytes, judged, bytes.len().saturating_sub(CONTEXT_BYTES));
        self.tail = bytes[bytes.len().saturating_sub(2 * CONTEXT_BYTES)..].to_vec();
    }

    /// What a byte order mark says; nothing is stronger.
    pub const fn mark(&self) -> Option<Encoding> {
        self.mark
    }

    /// What the text is, once all of it was observed. What cannot be decided is UTF-8, in which wrong bytes show.
    pub fn encoding(mut self) -> Encoding {
        let tail = std::mem::take(&mut self.tail);
        self.judge(&tail, tail.len().saturating_sub(CONTEXT_BYTES), tail.len());
        let by_bytes = if self.proofs >= PROOFS_MIN { Encoding::Windows1252 } else { Encoding::Utf8 };
        self.settled.unwrap_or(by_bytes)
    }

    fn judge(&mut self, bytes: &[u8], from: usize, to: usize) {
        for at in from..to.max(from) {
            if bytes[at].is_ascii() {
                continue;
            }
            match witness(bytes, at) {
                Witness::For if !is_utf8_at(bytes, at) => self.proofs = (self.proofs + 1).min(PROOFS_MIN),
                Witness::Silent if !is_utf8_at(bytes, at) => {}
                _ => {
                    self.settled = Some(Encoding::Utf8);
                    return;
                }
            }
        }
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

/// UTF-16 text whose beginning is mostly ASCII has a zero byte beside every such character, and hardly one elsewhere.
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

/// Whether a character of several bytes stands there in UTF-8.
fn is_utf8_at(bytes: &[u8], at: usize) -> bool {
    let length = match bytes[at] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return false,
    };
    bytes.get(at..at + length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok())
}

/// What a byte above ASCII says about the text being Windows-1252.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Witness {
    /// It reads as Western text there, and hardly as anything else.
    For,
    /// It may stand there, and so may what it means in other encodings.
    Silent,
    /// No Western text has it there.
    Against,
}

fn witness(bytes: &[u8], at: usize) -> Witness {
    let (before, byte, after) = (&bytes[..at], bytes[at], &bytes[at + 1..]);
    let (last, next) = (before.last().copied(), after.first().copied());
    if !is_plausible(before, byte, next) {
        return Witness::Against;
    }
    let is_beside = |is: fn(u8) -> bool| last.is_some_and(is) || next.is_some_and(is);
    match byte {
        // The euro, and cent, pound, currency and yen.
        0x80 | 0xa2..=0xa5 => match [spaced(before.iter().rev()), spaced(after.iter())] {
            _ if next.is_some_and(is_letter) => Witness::Against,
            beside if beside.into_iter().flatten().any(|byte| byte.is_ascii_digit()) => Witness::For,
            _ => Witness::Silent,
        },
        // Of the letters below these, others are letters of other Western encodings too.
        0xc0.. if is_high_letter(byte) && is_beside(|byte| byte.is_ascii_alphabetic()) => Witness::For,
        _ => Witness::Silent,
    }
}

/// The nearest byte, one space aside.
fn spaced<'a>(mut bytes: impl Iterator<Item = &'a u8>) -> Option<u8> {
    bytes.next().and_then(|&nearest| if nearest == b' ' { bytes.next().copied() } else { Some(nearest) })
}

/// Whether a byte above ASCII stands where Western European text in Windows-1252 would have it. Texts of other
/// encodings have letters where it has signs, capitals after small letters, or many such letters in a row.
fn is_plausible(before: &[u8], byte: u8, after: Option<u8>) -> bool {
    let last = before.last().copied();
    match byte {
        0x81 | 0x8d | 0x8f | 0x90 | 0x9d | 0xff => false,
        _ if is_letter(byte) => {
            let is_second = last.is_some_and(is_high_letter);
            let first = before.len().checked_sub(2).map(|at| before[at]);
            let is_third = is_second && first.is_some_and(is_high_letter);
            // Two of them make no word without a plain letter.
            let is_alone = is_second && ![first, after].into_iter().flatten().any(|byte| byte.is_ascii_alphabetic());
            let is_capital_inside = is_upper(byte) && last.is_some_and(is_lower);
            // `MŸller` is `Müller` in another encoding.
            let is_capital_second =
                is_upper(byte) && last.is_some_and(is_upper) && after.is_some_and(|byte| byte.is_ascii_lowercase());
            // A capital begins a word, or is one, or ends one of capitals.
            let is_capital_astray = is_upper(byte)
                && !last.is_some_and(is_upper)
                && !after.is_none_or(|byte| is_letter(byte) || byte.is_ascii_whitespace() || byte == b'.');
            !(is_third || is_alone || is_capital_inside || is_capital_second || is_capital_astray)
        }
        // Low quotes open.
        0x82 | 0x84 => !last.is_some_and(is_letter),
        // Apostrophes, hyphens, dashes, an ellipsis and spaces also stand inside of words.
        0x85 | 0x91 | 0x92 | 0x96 | 0x97 | 0xa0 | 0xad | 0xb4 | 0xb7 => true,
        _ => !(last.is_some_and(is_letter) && after.is_some_and(is_letter)),
    }
}

const fn is_high_letter(byte: u8) -> bool {
    matches!(byte, 0x8a | 0x8c | 0x8e | 0x9a | 0x9c | 0x9e | 0x9f | 0xc0..=0xd6 | 0xd8..=0xf6 | 0xf8..=0xfe)
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || is_high_letter(byte)
}

const fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, 0x8a | 0x8c | 0x8e | 0x9f | 0xc0..=0xde)
}

const fn is_lower(byte: u8) -> bool {
    is_letter(byte) && !is_upper(byte)
}

/// Makes UTF-8 of a text, block by block.
#[derive(Debug)]
pub struct Transcoder {
    encoding: Encoding,
    /// Bytes that make a character only with what comes next.
    carry: Vec<u8>,
}

impl Transcoder {
    /// Of an encoding that is not UTF-8 already.
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, carry: Vec::new() }
    }

    /// Appends the next bytes to `text`.
    pub fn transcode(&mut self, bytes: &[u8], text: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Utf8 => text.extend(bytes),
            Encoding::Windows1252 => transcode_windows_1252(bytes, text),
            Encoding::Utf16Le => self.transcode_utf16(bytes, u16::from_le_bytes, text),
            Encoding::Utf16Be => self.transcode_utf16(bytes, u16::from_be_bytes, text),
        }
    }

    /// Ends the text.
    ///
    /// # Errors
    ///
    /// When it ends in the middle of a character.
    pub fn finish(mut self, text: &mut Vec<u8>) -> Result<(), SyncError> {
        if self.carry.len() % 2 == 1 {
            return Err(SyncError::damaged(format!(
                "it is {} and ends in the middle of a character: the file is truncated",
                self.encoding.name()
            )));
        }
        let last = std::mem::take(&mut self.carry);
        let decode = if self.encoding == Encoding::Utf16Le { u16::from_le_bytes } else { u16::from_be_bytes };
        append_utf16(&units(&last, decode), text);
        Ok(())
    }

    fn transcode_utf16(&mut self, bytes: &[u8], decode: fn([u8; 2]) -> u16, text: &mut Vec<u8>) {
        let mut all = std::mem::take(&mut self.carry);
        all.extend(bytes);
        let mut units = units(&all, decode);
        let mut taken = units.len() * 2;
        // The second half of a pair may come with the next block.
        if units.pop_if(|last| (0xd800..0xdc00).contains(last)).is_some() {
            taken -= 2;
        }
        self.carry = all[taken..].to_vec();
        append_utf16(&units, text);
    }
}

/// Bytes that Windows-1252 does not define stay as they are: alone they are no UTF-8 either.
fn transcode_windows_1252(bytes: &[u8], text: &mut Vec<u8>) {
    let is_undefined = |byte: &u8| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d);
    for run in bytes.chunk_by(|one, other| is_undefined(one) == is_undefined(other)) {
        if is_undefined(&run[0]) {
            text.extend(run);
        } else {
            text.extend(WINDOWS_1252.decode_without_bom_handling(run).0.bytes());
        }
    }
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
        Encoding::Utf8 | Encoding::Windows1252 => return invalid.to_vec(),
        Encoding::Utf16Le => u16::to_le_bytes,
        Encoding::Utf16Be => u16::to_be_bytes,
    };
    let halves = invalid.chunks_exact(3);
    let half = |bytes: &[u8]| {
        (u16::from(bytes[0] & 0x0f) << 12) | (u16::from(bytes[1] & 0x3f) << 6) | u16::from(bytes[2] & 0x3f)
    };
    halves.flat_map(|bytes| to_bytes(half(bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(bytes: &[u8]) -> Encoding {
        let whole = {
            let mut guess = Guess::default();
            guess.observe(bytes);
            guess.encoding()
        };
        for length in 1..8 {
            // The first block is large enough for zero bytes to show.
            let mut guess = Guess::default();
            let (first, rest) = bytes.split_at(bytes.len().min(16));
            guess.observe(first);
            rest.chunks(length).for_each(|block| guess.observe(block));
            assert_eq!(guess.encoding(), whole, "in blocks of {length}: {}", bytes.escape_ascii());
        }
        whole
    }

    fn transcoded(bytes: &[u8], encoding: Encoding, block: usize) -> Vec<u8> {
        let mut transcoder = Transcoder::new(encoding);
        let mut text = Vec::new();
        bytes.chunks(block).for_each(|block| transcoder.transcode(block, &mut text));
        transcoder.finish(&mut text).expect("whole characters");
        text
    }

    #[test]
    fn western_text_is_windows_1252() {
        for text in [
            "caf\u{e9} cr\u{e8}me",
            "CAF\u{c9}, \u{c0} la carte, \u{c9}. Z, d\u{e9}j\u{e0}",
            "Stra\u{df}e, K\u{f6}ln, \u{c4}rger",
            "d\u{2019}\u{c9}vreux cr\u{e9}\u{e9}e",
            "\u{20ac} 5, 6\u{a3}",
            "\u{a3},\u{a3}5 and 5 \u{20ac}",
            "1\u{ba}, \u{201e}pr\u{ea}t-\u{e0}-porter\u{201c} caf\u{e9}",
        ] {
            let (bytes, _, is_lossy) = WINDOWS_1252.encode(text);
            assert!(!is_lossy);
            assert_eq!(guess(&bytes), Encoding::Windows1252, "{text}");
            assert_eq!(transcoded(&bytes, Encoding::Windows1252, 1), text.as_bytes());
        }
    }

    #[test]
    fn what_could_be_another_encoding_is_not_guessed() {
        let foreign = [
            (encoding_rs::WINDOWS_1251, "Привет"),
            (encoding_rs::WINDOWS_1253, "Αθήνα"),
            (encoding_rs::WINDOWS_1250, "Łódź, żółw"),
            (encoding_rs::KOI8_R, "Привет"),
            (encoding_rs::MACINTOSH, "café"),
            (encoding_rs::GBK, "中文名"),
            (encoding_rs::SHIFT_JIS, "日本語"),
            (encoding_rs::EUC_KR, "한국어"),
        ];
        for (encoding, text) in foreign {
            assert_eq!(guess(&encoding.encode(text).0), Encoding::Utf8, "{text} in {}", encoding.name());
        }
        // As Mac OS wrote them, several.
        assert_eq!(guess(b"M\x9fller, B\x9frger"), Encoding::Utf8);
        assert_eq!(guess(b"K\x9aln, B\x9ahm"), Encoding::Utf8);
        // One place may be damage, and proves nothing.
        for text in [b"caf\xe9".as_slice(), b"\x80 5", b"5 \x80", b"1\xba", b"\x84so\x93", b"\xe9, \xe9", b"\xa3,\xa3"]
        {
            assert_eq!(guess(text), Encoding::Utf8, "{}", text.escape_ascii());
        }
        // However much speaks for it, one byte may speak against it.
        for text in [b"\x80abc".as_slice(), b"\xc3\x28", b"x,\xc3(", b"\xd1;"] {
            assert_eq!(guess(&[b"caf\xe9 cr\xe8me ", text].concat()), Encoding::Utf8, "{}", text.escape_ascii());
        }
        // The code pages of DOS.
        assert_eq!(guess(b"caf\x82"), Encoding::Utf8);
        assert_eq!(guess(b"K\x94ln"), Encoding::Utf8);
        // One character of UTF-8, however much else there is.
        assert_eq!(guess("plain text, plain text, caf\u{e9}".as_bytes()), Encoding::Utf8);
        assert_eq!(guess(b"caf\xe9, caf\xe9 and caf\xc3\xa9"), Encoding::Utf8);
        assert_eq!(guess(b"plain"), Encoding::Utf8);
        assert_eq!(guess(b"caf\xe9, and plain text with a \0 in it"), Encoding::Utf8);
        assert_eq!(guess(b""), Encoding::Utf8);
        assert_eq!(guess(b"a,\0b,c,d,e,f,g,h,i,j,k,l"), Encoding::Utf8);
    }

    #[test]
    fn utf_16_shows_by_its_mark_or_its_zero_bytes() {
        for text in ["Order ID,SKU\n11,Käse 😀\n", "\u{feff}Заказ;1", "[]"] {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(guess(&little), Encoding::Utf16Le, "{text}");
            assert_eq!(guess(&big), Encoding::Utf16Be, "{text}");
            for block in 1..5 {
                assert_eq!(transcoded(&little, Encoding::Utf16Le, block), text.as_bytes());
                assert_eq!(transcoded(&big, Encoding::Utf16Be, block), text.as_bytes());
            }
        }
    }

    #[test]
    fn half_a_pair_stays_what_it_was() {
        let units = [0x61, 0xd800, 0x62, 0xdc01, 0xdc02, 0xd83d];
        let bytes: Vec<u8> = units.iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let text = transcoded(&bytes, Encoding::Utf16Le, 2);
        assert!(std::str::from_utf8(&text).is_err());
        assert_eq!(text[0], b'a');
        assert_eq!(written(&text[1..4], Encoding::Utf16Le), [0x00, 0xd8]);
        assert_eq!(written(&text[5..11], Encoding::Utf16Be), [0xdc, 0x01, 0xdc, 0x02]);
        assert_eq!(written(&text[11..], Encoding::Utf16Le), [0x3d, 0xd8]);
    }
}
