//! The declaration of a table, as a configuration has it.

use super::layers::{list, one_or_several, quoted};
use super::table::{Column, Form, Table};
use fastrand::Rng;
use std::fmt::Write as _;

impl Table {
    /// Another name of a column that the configuration may have for it.
    pub fn other_name(&self, random: &mut Rng, column: usize) -> String {
        let Column { name, .. } = &self.columns[column];
        match random.u8(..3) {
            0 => name.to_ascii_uppercase().replace('_', " "),
            _ => name.clone(),
        }
    }

    /// A name in a file is one, too, where rows are spoken of.
    fn row_name(&self, random: &mut Rng, column: usize) -> String {
        if random.bool() {
            self.columns[column].in_file.clone()
        } else {
            self.other_name(random, column)
        }
    }

    /// The name of the file, below the inbox.
    pub fn file_name(&self, extension: &str) -> String {
        match self.market {
            "" => format!("{}.{extension}", self.dataset),
            market => format!("{market}/{}.{extension}", self.dataset),
        }
    }

    /// The dataset's part of a configuration.
    pub fn toml(&self, random: &mut Rng) -> String {
        let name = &self.dataset;
        let path = match self.market {
            "" => format!("/{name}\\.[a-z.]+$"),
            _ => format!("/(?<market>[^/]+)/{name}\\.[a-z.]+$"),
        };
        let mut toml = format!("[datasets.{name}]\npaths = ['{path}']\n");
        let mut say = |entry: String| writeln!(toml, "{entry}").expect("memory");
        if self.table != *name {
            say(format!("table = \"{}\"", self.table));
        }
        if let Some(table) = &self.lines_table {
            say(format!("lines_table = \"{table}\""));
        }
        if !self.key_names.is_empty() {
            say(format!("key = {}", one_or_several(&self.key_names)));
        }
        if self.header_has {
            let names = self.columns.iter().filter(|column| column.copy_of.is_none());
            let names: Vec<&str> = names.map(|column| column.in_file.as_str()).collect();
            say(format!("header_has = {}", list(&names[..names.len().min(3)])));
        }
        if let Some(new_columns) = self.new_columns {
            say(format!("new_columns = \"{new_columns}\""));
        }
        if self.drops_duplicates {
            say("duplicate_lines = \"drop\"".to_owned());
        }
        if let Some(repeated_keys) = self.repeated_keys {
            say(format!("repeated_keys = \"{repeated_keys}\""));
        }
        if let Some(column) = self.totals {
            let name = self.row_name(random, column);
            say(format!(r"no_rows = {{ {} = '^(Total|Summe)\b' }}", quoted(&name)));
        }
        let filled: Vec<usize> =
            (0..self.columns.len()).filter(|&column| self.columns[column].is_filled).collect();
        if !filled.is_empty() {
            let names: Vec<String> =
                filled.into_iter().map(|column| self.row_name(random, column)).collect();
            say(format!("fill_down = {}", list(&names)));
        }
        match &self.form {
            Form::Nested { root, lines, .. } => {
                let root = root.map(|root| format!("root = \"{root}\", ")).unwrap_or_default();
                say(format!("json = {{ {root}lines = \"{lines}\" }}"));
            }
            Form::Objects { root: Some(root), .. } => {
                say(format!("json = {{ root = \"{root}\" }}"))
            }
            _ => {}
        }
        for entry in self.layer.entries().into_iter().chain(self.dialect.iter().cloned()) {
            say(entry);
        }
        say(format!("[datasets.{name}.columns]"));
        for (key, entries) in self.columns.iter().filter_map(|column| column.declared.as_ref()) {
            say(format!("{} = {{ {} }}", quoted(key), entries.join(", ")));
        }
        toml
    }
}
