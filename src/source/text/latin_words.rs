//! LatinWords: whether the bytes above ASCII of a text stand where letters of Latin words do.
//!
//! The encodings of Latin letters have `ß`, `ö`, `ü` and a few others in one place, but so has each
//! other encoding something there: KOI8-R `ъ`, `Ж`, `Э`, Shift_JIS half of a character, code page
//! 850 and Macintosh signs. What tells them apart is what stands around: letters of other scripts
//! stand in words of their own, and a capital or a sign in the middle of a word is none.

/// Of so many letters that stand as they should, one may stand otherwise: names of products do.
const GOOD_PER_ODD_MIN: u64 = 10;

/// ASCII letters that a word must have to prove anything: fewer may belong to half of a character.
const ASCII_LETTERS_MIN: u32 = 2;

/// What the bytes above ASCII of a text, met block by block, look like. All of them are the same
/// character in every encoding of Latin letters.
#[derive(Debug, Default)]
pub struct LatinWords {
    word: Word,
    /// The last two bytes.
    last: [u8; 2],
    /// Bytes that stand in a word of Latin letters, or between digits, as nothing else would.
    good: u64,
    /// Bytes that stand where no such letter or sign does.
    odd: u64,
}

/// The word that was met last, as far as it goes.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    ascii_lower: u32,
    ascii_upper: u32,
    lower: u32,
    upper: u32,
    /// Those that are good where they stand.
    proofs: u32,
    is_odd: bool,
    /// Whether its last byte is a sign, which no letter may follow.
    ends_in_sign: bool,
}

impl LatinWords {
    /// Takes the next bytes into account.
    pub fn observe(&mut self, block: &[u8]) {
        for &byte in block {
            self.take(byte);
        }
    }

    /// Whether they are Latin words.
    pub fn are_they(mut self) -> bool {
        self.take(b'\n');
        self.good > 0 && self.odd * GOOD_PER_ODD_MIN <= self.good
    }

    fn take(&mut self, byte: u8) {
        let [before, last] = self.last;
        // A space that does not break, among digits; a degree of a scale.
        let is_digit = |byte: u8| byte.is_ascii_digit();
        if last == 0xa0 && is_digit(before) && is_digit(byte)
            || last == 0xb0 && matches!(before, b'0'..=b'9' | b' ') && matches!(byte, b'C' | b'F')
        {
            self.good += 1;
            self.word = Word::default();
        }
        self.last = [last, byte];
        match byte {
            b'a'..=b'z' => self.letter(|word| word.ascii_lower += 1),
            b'A'..=b'Z' => self.letter(|word| word.ascii_upper += 1),
            0xd7 | 0xf7 | 0x80..=0xbf => {
                self.word.is_odd |= self.word.ends_in_sign;
                self.word.ends_in_sign = true;
            }
            0xc0..=0xdf => self.capital(byte),
            0xe0.. => self.small(byte, last),
            _ if self.word.letters() > 0 || self.word.ends_in_sign => self.end_word(),
            _ => {}
        }
    }

    fn letter(&mut self, count: impl Fn(&mut Word)) {
        // A sign in the middle of a word is a letter of another encoding.
        self.word.is_odd |= self.word.ends_in_sign;
        count(&mut self.word);
    }

    fn capital(&mut self, byte: u8) {
        /// Code page 850 has `Í`, Macintosh an ellipsis there.
        const OTHERWISE: [u8; 2] = [0xd6, 0xc9];
        if byte == 0xdf {
            // No word begins with ß, and one in capitals has it, too.
            self.word.is_odd |= self.word.letters() == 0;
            self.word.proofs += 1;
            return self.letter(|word| word.lower += 1);
        }
        self.word.is_odd |= self.word.ascii_lower > 0;
        self.word.proofs += u32::from(!OTHERWISE.contains(&byte));
        self.letter(|word| word.upper += 1);
    }

    fn small(&mut self, byte: u8, last: u8) {
        // Code page 850 has `õ` for ä, and Macintosh `È` for é, which may begin a word.
        let is_otherwise = byte == 0xe4 || byte == 0xe9 && !last.is_ascii_alphabetic();
        self.word.is_odd |= self.word.ascii_upper > 1 && self.word.ascii_lower == 0;
        self.word.proofs += u32::from(!is_otherwise);
        self.letter(|word| word.lower += 1);
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let (ascii, other) = (word.ascii_lower + word.ascii_upper, word.lower + word.upper);
        // Words have few of them, `süß` the most. One alone, as initials and sizes have it (`Ü40`),
        // proves nothing.
        if word.is_odd || other > ascii + 1 {
            self.odd += u64::from(other.max(1));
        } else if ascii >= ASCII_LETTERS_MIN.max(2 * other) {
            self.good += u64::from(word.proofs);
        }
    }
}

impl Word {
    const fn letters(&self) -> u32 {
        self.ascii_lower + self.ascii_upper + self.lower + self.upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{Encoding, GBK, IBM866, KOI8_R, MACINTOSH, SHIFT_JIS, WINDOWS_1252};

    fn is_latin(bytes: &[u8]) -> bool {
        let found = [1, 3, 1000].map(|length| {
            let mut words = LatinWords::default();
            bytes.chunks(length).for_each(|block| words.observe(block));
            words.are_they()
        });
        assert!(found.iter().all(|is_latin| *is_latin == found[0]), "{}", bytes.escape_ascii());
        found[0]
    }

    fn written(text: &str, encoding: &'static Encoding) -> Vec<u8> {
        let (bytes, _, is_lossy) = encoding.encode(text);
        assert!(!is_lossy, "{text}");
        bytes.into_owned()
    }

    #[test]
    fn letters_in_words_of_ascii_letters_are_latin() {
        for text in [
            "Straße in Köln",
            "STRAßE",
            "TÜV geprüft",
            "José",
            "à é, Köln".trim_start_matches('à'),
            "Öl für 5\u{a0}€".trim_end_matches('€'),
            "1\u{a0}250",
            "25 °C, 30°F",
            "größer, Ü40, süß, höher, müde, blöd, früh, spät, grün, böse, Fuß, Gruß, Füße",
        ] {
            assert!(is_latin(&written(text, WINDOWS_1252)), "{text}");
        }
    }

    #[test]
    fn letters_of_other_encodings_are_not() {
        let others = [
            ("ж, э, нъ", KOI8_R),
            ("USBдж", KOI8_R),
            ("USBджджд", KOI8_R),
            ("в 5 м", IBM866),
            ("Straße", MACINTOSH),
            ("CRÈME…", MACINTOSH),
            ("的, 中文", GBK),
            ("ﾁﾄ", SHIFT_JIS),
        ];
        for (text, encoding) in others {
            assert!(!is_latin(&written(text, encoding)), "{text}");
        }
        // Code page 850: está, Camões, GARCÍA, PERÚ, 5º, Lego®.
        for bytes in
            [b"est\xa0".as_slice(), b"Cam\xe4es", b"GARC\xd6A", b"PER\xe9", b"5\xa7", b"Lego\xa9"]
        {
            assert!(!is_latin(bytes), "{}", bytes.escape_ascii());
        }
        // Nothing proves anything, or much is odd.
        for text in ["Käse", "Ö", "é", "«x»", "Köln ÄÖ"] {
            assert!(!is_latin(&written(text, WINDOWS_1252)), "{text}");
        }
    }
}
