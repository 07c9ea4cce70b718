//! A table as JSON: objects in a document or one a line, with their lines in them or without.

use super::table::{Cell, Form, Row, Table};
use fastrand::Rng;
use serde_json::Value as Json;

/// What stands in a document.
enum Node {
    Raw(String),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
}

impl Node {
    /// Puts a value where a path leads, beside what is there.
    fn insert(members: &mut Vec<(String, Self)>, path: &[String], value: Self) {
        let (first, rest) = path.split_first().expect("a member has a name");
        if rest.is_empty() {
            members.push((first.clone(), value));
            return;
        }
        let found = members
            .iter()
            .position(|(name, node)| name == first && matches!(node, Self::Object(_)));
        let at = found.unwrap_or_else(|| {
            members.push((first.clone(), Self::Object(Vec::new())));
            members.len() - 1
        });
        let Self::Object(below) = &mut members[at].1 else { unreachable!("it was found or made") };
        Self::insert(below, rest, value);
    }

    fn write(&self, style: &Style, text: &mut String) {
        let separator = if style.is_wide { ", " } else { "," };
        match self {
            Self::Raw(raw) => text.push_str(raw),
            Self::Object(members) => {
                text.push('{');
                for (index, (name, node)) in members.iter().enumerate() {
                    text.push_str(if index > 0 { separator } else { "" });
                    text.push_str(&style.text(name));
                    text.push_str(if style.is_wide { ": " } else { ":" });
                    node.write(style, text);
                }
                text.push('}');
            }
            Self::Array(nodes) => {
                text.push('[');
                for (index, node) in nodes.iter().enumerate() {
                    text.push_str(if index > 0 { separator } else { "" });
                    if style.has_lines {
                        text.push('\n');
                    }
                    node.write(style, text);
                }
                text.push(']');
            }
        }
    }
}

/// How texts and what is between them are written.
struct Style {
    is_wide: bool,
    has_lines: bool,
    has_escapes: bool,
}

impl Style {
    fn text(&self, text: &str) -> String {
        let json = Json::from(text).to_string();
        if !self.has_escapes {
            return json;
        }
        let escaped = |c: char| match c.is_ascii() {
            true => c.to_string(),
            false => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
        };
        json.chars().map(escaped).collect()
    }
}

/// The file.
pub fn write(random: &mut Rng, table: &Table) -> String {
    let (root, is_document) = match table.form {
        Form::Objects { root, is_document } | Form::Nested { root, is_document, .. } => {
            (root, is_document)
        }
        Form::Csv => unreachable!("it has cells"),
    };
    let style = Style {
        is_wide: random.bool(),
        has_lines: is_document && random.bool(),
        has_escapes: random.u8(..4) == 0,
    };
    let objects = objects(random, table, &style);
    let mut text = String::new();
    if !is_document {
        for object in &objects {
            object.write(&style, &mut text);
            text.push('\n');
        }
        return text;
    }
    let Some(root) = root else {
        Node::Array(objects).write(&style, &mut text);
        return text;
    };
    let mut members = vec![("version".to_owned(), Node::Raw("2".to_owned()))];
    let path: Vec<String> = root.split('.').map(str::to_owned).collect();
    Node::insert(&mut members, &path, Node::Array(objects));
    members.push(("page".to_owned(), Node::Raw("{\"orders\": 3, \"items\": [[], {}]}".to_owned())));
    random.shuffle(&mut members);
    Node::Object(members).write(&style, &mut text);
    text
}

fn objects(random: &mut Rng, table: &Table, style: &Style) -> Vec<Node> {
    let Form::Nested { lines, .. } = table.form else {
        let rows = table.rows.iter();
        return rows
            .map(|row| Node::Object(members(random, table, row, style, 0, |_| true)))
            .collect();
    };
    let lines_path: Vec<String> = lines.split('.').map(str::to_owned).collect();
    // The rows of an object stand together.
    let records = table.rows.chunk_by(|one, other| one.record == other.record);
    let object = |rows: &[Row]| {
        let mut of_record = members(random, table, &rows[0], style, 0, |is_in_line| !is_in_line);
        let own = rows.iter().filter(|row| !row.is_bare);
        let own: Vec<Node> = own
            .map(|row| {
                Node::Object(members(random, table, row, style, lines_path.len(), |is_in_line| {
                    is_in_line
                }))
            })
            .collect();
        // An object without lines says so in several ways.
        match (own.is_empty(), random.u8(..3)) {
            (true, 0) => {}
            (true, 1) => Node::insert(&mut of_record, &lines_path, Node::Raw("null".to_owned())),
            _ => Node::insert(&mut of_record, &lines_path, Node::Array(own)),
        }
        random.shuffle(&mut of_record);
        Node::Object(of_record)
    };
    records.map(object).collect()
}

/// The members of an object or of a line, by their paths below it.
fn members(
    random: &mut Rng,
    table: &Table,
    row: &Row,
    style: &Style,
    depth: usize,
    is_wanted: impl Fn(bool) -> bool,
) -> Vec<(String, Node)> {
    let mut members = Vec::new();
    for (column, cell) in table.columns.iter().zip(&row.cells) {
        if let Some(cell) =
            cell.as_ref().filter(|_| column.copy_of.is_none() && is_wanted(column.is_in_line))
        {
            Node::insert(&mut members, &column.path[depth..], Node::Raw(value(cell, style)));
        }
    }
    random.shuffle(&mut members);
    members
}

fn value(cell: &Cell, style: &Style) -> String {
    cell.raw.clone().unwrap_or_else(|| style.text(&cell.text))
}
