//! Terminal: makes text safe to print. Anybody can choose file names and cell values, and a
//! terminal executes control characters in them: it moves the cursor, hides lines, sends answers or
//! changes the order of text.
//!
//! The page escapes text in the same way, because a browser obeys text direction marks too.

use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write;

/// Escapes every control character of a text, for example as `\\u{1b}`. Line ends are escaped too,
/// so that one line of output stays one line.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// The same with the escapes of JSON, so that a program that parses the JSON gets the exact text.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_obeyed) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_obeyed(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("writing to a string does not fail");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Makes every text in a JSON value [`printable`]. Names of members stay as they are.
pub fn printable_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text).into_owned()),
        Value::Array(values) => Value::Array(values.into_iter().map(printable_value).collect()),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, printable_value(value))).collect()
        }
        value => value,
    }
}

/// Quotes a word for a shell, so that a printed command can be copied.
pub fn quoted(word: &str) -> String {
    if !word.contains(is_obeyed) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut quoted = "$'".to_owned();
    for c in word.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if is_obeyed(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    write!(quoted, "\\x{byte:02x}").expect("writing to a string does not fail");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted + "'"
}

/// Control characters, and Unicode characters that are invisible or change how the text around them
/// is shown. The joiners U+200C and U+200D are not among them: Persian, Hindi and emoji need them.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\x1b[2J\r\n\t\x7f\u{9b}31m\u{202e}fdp\u{2066}\u{200b}\u{e0041}é";

    #[test]
    fn what_a_terminal_obeys_is_shown_as_what_it_is() {
        let shown = r"a\u{1b}[2J\r\n\t\u{7f}\u{9b}31m\u{202e}fdp\u{2066}\u{200b}\u{e0041}é";
        assert_eq!(printable(HOSTILE), shown);
        for plain in ["Market 1 Orders.csv", "日本 ₦ é 👩\u{200d}🌾", "می\u{200c}خواهم", ""]
        {
            assert!(matches!(printable(plain), Cow::Borrowed(same) if same == plain));
        }
    }

    #[test]
    fn json_stays_what_it_says() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE] });
        let text = value.to_string();
        let shown = printable_json(&text);
        assert!(!shown.contains(is_obeyed) && text.contains(is_obeyed), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), value);
        assert_eq!(
            printable_value(serde_json::json!({ "a": [HOSTILE, 1] }))["a"][0],
            printable(HOSTILE).as_ref()
        );
    }

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("it's\x1b\\"), r"$'it\'s\x1b\\'");
        for word in [HOSTILE, "it's", "a b\n"] {
            let output = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output();
            assert_eq!(String::from_utf8_lossy(&output.expect("bash is there").stdout), word);
        }
    }
}
