//! Path text: a path as the ledger has it. Paths are bytes, and the ledger's columns are text. So
//! bytes that are not text are written as `\xNN`, and so is a backslash that would otherwise read
//! as such an escape. Two different paths always have different texts, and ordinary names stay as
//! they are.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The text of a path.
pub fn path_text(path: &Path) -> String {
    let mut text = String::with_capacity(path.as_os_str().len());
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            text.push_str(if escaped_byte(&rest[at..]).is_some() { "\\x5C" } else { "\\" });
            rest = &rest[at + 1..];
        }
        text.push_str(rest);
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
    }
    text
}

/// The path that a text stands for.
pub fn path_of(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        let escaped = escaped_byte(&rest[at..]);
        bytes.push(escaped.unwrap_or(b'\\'));
        rest = &rest[at + if escaped.is_some() { 4 } else { 1 }..];
    }
    bytes.extend(rest.bytes());
    OsString::from_vec(bytes).into()
}

/// The byte that a text begins with, if it begins with one that is written as `\xNN`, in capitals.
fn escaped_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("\\x")?.get(..2)?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    digits.bytes().all(is_digit).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::ffi::OsStr;

    #[test]
    fn no_two_paths_have_one_text_and_the_path_comes_back() {
        let pieces: [&[u8]; 10] =
            [b"\xFF", b"\\", b"x", b"F", b"5", b"C", b"\\xFF", "é".as_bytes(), b"\n", b"\xC3"];
        let mut texts = HashSet::new();
        let mut paths = HashSet::new();
        for one in 0..10_usize.pow(4) {
            let bytes: Vec<u8> =
                (0..4).flat_map(|place| pieces[one / 10_usize.pow(place) % 10]).copied().collect();
            let path = PathBuf::from(OsStr::from_bytes(&bytes));
            let text = path_text(&path);
            assert_eq!(path_of(&text), path, "{text}");
            texts.insert(text);
            paths.insert(path);
        }
        assert_eq!(texts.len(), paths.len());
    }

    #[test]
    fn ordinary_names_are_spelt_as_they_are() {
        for name in ["/in/Market 1 Orders.csv", "/in/a\\b\\xyz", "/in/é 𠮷\n", "/in/\\xff"] {
            assert_eq!(path_text(Path::new(name)), name);
        }
        assert_eq!(path_text(Path::new(OsStr::from_bytes(b"/in/\xFF"))), "/in/\\xFF");
        assert_eq!(path_text(Path::new("/in/\\xFF")), "/in/\\x5CxFF");
    }
}
