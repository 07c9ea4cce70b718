//! Print: a draft as TOML that can be put into a configuration as it is.
//!
//! Names and values of files are not trusted: the TOML has them only as escaped strings, on one
//! line.

use crate::feed::declaration::Owner;
use crate::feed::describe::draft::{Draft, DraftColumn};
use crate::process::terminal::printable;
use std::fmt::Write;

/// Columns that the commented `header_has` names.
const HEADER_NAMES: usize = 3;

/// The whole declaration.
pub fn toml_text(draft: &Draft) -> String {
    let mut text = Text::default();
    draft.notes.iter().for_each(|note| text.note(note));
    text.line(&format!("[datasets.{}]", toml_key(&draft.name)));
    say_paths(&mut text, draft);
    say_format(&mut text, draft);
    say_key(&mut text, draft);
    if !draft.no_rows.is_empty() {
        let rows = draft
            .no_rows
            .iter()
            .map(|(column, pattern)| format!("{} = {}", toml_key(column), pattern_text(pattern)));
        text.note("its last rows are no data, but totals of the others");
        text.line(&format!("no_rows = {{ {} }}", rows.collect::<Vec<_>>().join(", ")));
    }
    text.line("");
    text.line(&format!("[datasets.{}.columns]", toml_key(&draft.name)));
    draft.columns.iter().for_each(|column| say_column(&mut text, column));
    text.0
}

/// Lines of TOML.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// A comment. Invisible characters are written as numbers, because a line end would end the
    /// comment.
    fn note(&mut self, note: &str) {
        self.line(&format!("# {}", printable(note)));
    }
}

fn say_paths(text: &mut Text, draft: &Draft) {
    if !draft.has_market {
        text.note("the market is ''; for one of each folder begin the pattern with (?<market>[^/]+)/ instead of /");
    }
    text.line(&format!("paths = [{}]", pattern_text(&draft.pattern)));
    let list = |names: &[String]| {
        names.iter().map(|name| toml_string(name)).collect::<Vec<_>>().join(", ")
    };
    if !draft.header_has.is_empty() {
        text.note("other rows stand above the header, which has these names");
        text.line(&format!("header_has = [{}]", list(&draft.header_has)));
    } else if !draft.header_names.is_empty() {
        let names = &draft.header_names[..draft.header_names.len().min(HEADER_NAMES)];
        text.note(&format!(
            "header_has = [{}]  # finds such files whatever they are called",
            list(names)
        ));
    }
    text.note(
        "kind = \"delta\"  # if a file is not the whole export, but only what is new or changed",
    );
}

fn say_format(text: &mut Text, draft: &Draft) {
    draft.encoding_notes.iter().for_each(|note| text.note(note));
    let encodings: Vec<String> =
        draft.encodings.iter().map(|encoding| toml_string(encoding)).collect();
    match encodings.as_slice() {
        [] => {}
        [encoding] => text.line(&format!("encoding = {encoding}")),
        several => text.line(&format!("encoding = [{}]", several.join(", "))),
    }
    draft.decimal_notes.iter().for_each(|note| text.note(note));
    if let Some(sign) = draft.decimal {
        text.line(&format!("decimal = \"{}\"", sign.as_str()));
    }
    draft.json_notes.iter().for_each(|note| text.note(note));
    let members = [("root", &draft.json.root), ("lines", &draft.json.lines)].into_iter();
    let members =
        members.filter_map(|(key, path)| Some(format!("{key} = {}", toml_string(path.as_ref()?))));
    let members: Vec<String> = members.collect();
    if !members.is_empty() {
        text.line(&format!("json = {{ {} }}", members.join(", ")));
    }
}

fn say_key(text: &mut Text, draft: &Draft) {
    draft.key_notes.iter().for_each(|note| text.note(note));
    let key: Vec<String> = draft.key.iter().map(|column| toml_string(column)).collect();
    match key.as_slice() {
        [] => {}
        [column] => text.line(&format!("key = {column}")),
        columns => text.line(&format!("key = [{}]", columns.join(", "))),
    }
    if let Some(table) = &draft.lines_table {
        text.line(&format!("lines_table = {}", toml_string(table)));
    }
}

fn say_column(text: &mut Text, column: &DraftColumn) {
    let examples: Vec<String> =
        column.examples.iter().map(|example| toml_string(example)).collect();
    let mut says = Vec::new();
    if !examples.is_empty() {
        says.push(examples.join(", "));
    }
    if column.empty > 0 && column.values > 0 {
        says.push(format!("{} of {} are empty", column.empty, column.empty + column.values));
    }
    says.extend(column.proves.iter().cloned());
    if !says.is_empty() {
        text.note(&says.join("; "));
    }
    column.open.iter().for_each(|open| text.note(&format!("open: {open}")));
    let line = column_line(column);
    match column.is_named_by_another {
        true => text.note(&line),
        false => text.line(&line),
    }
}

fn column_line(column: &DraftColumn) -> String {
    let mut keys = Vec::new();
    if column.from != column.name && !column.from.trim().is_empty() {
        keys.push(format!("from = {}", toml_string(&column.from)));
    }
    if let Some(of_type) = column.of_type {
        keys.push(format!("type = \"{}\"", of_type.name()));
    }
    if let Some(dates) = &column.dates {
        keys.push(format!("dates = {}", toml_string(dates)));
    }
    if let Some(sign) = column.decimal {
        keys.push(format!("decimal = \"{}\"", sign.as_str()));
    }
    if let Some(of) = column.of {
        keys.push(format!("of = \"{}\"", if of == Owner::Record { "record" } else { "line" }));
    }
    let keys = if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) };
    format!("{} = {keys}", toml_key(&column.name))
}

/// A name as a key.
fn toml_key(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_owned() } else { toml_string(name) }
}

/// A text in quotes; invisible characters are written as numbers.
pub fn toml_string(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_seen(c) => quoted.push(c),
            c => {
                let _ = match u32::from(c) {
                    number @ ..=0xffff => write!(quoted, "\\u{number:04X}"),
                    number => write!(quoted, "\\U{number:08X}"),
                };
            }
        }
    }
    quoted.push('"');
    quoted
}

/// A pattern as a literal string, if possible, so that backslashes need no escape.
fn pattern_text(pattern: &str) -> String {
    let is_literal = pattern.chars().all(|c| c != '\'' && is_seen(c));
    if is_literal { format!("'{pattern}'") } else { toml_string(pattern) }
}

fn is_seen(c: char) -> bool {
    let mut bytes = [0; 4];
    let text: &str = c.encode_utf8(&mut bytes);
    printable(text) == text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_file_stays_in_its_string() {
        let hostile = "a\"b\\c\nd'e\u{0}\u{1b}[31m\u{202e}\u{e0041}#]";
        for text in [toml_string(hostile), pattern_text(hostile)] {
            let table: toml::Table = toml::from_str(&format!("x = {text}")).expect("it is TOML");
            assert_eq!(table["x"].as_str(), Some(hostile));
            assert_eq!(printable(&text), text);
        }
        assert_eq!(pattern_text(r"\d+"), r"'\d+'");
        assert_eq!(
            [toml_key("a_1"), toml_key("größe"), toml_key("")],
            ["a_1", "\"größe\"", "\"\""]
        );
    }
}
