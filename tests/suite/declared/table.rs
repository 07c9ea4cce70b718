//! Tables: the columns and rows of a file, in the form that the file has and with all that a
//! declaration says of them.

use super::cells::{Alphabet, Kind, Maker};
use super::layers::{Layer, Layers, Surroundings, one_or_several, quoted};
use super::moments::{Dates, Said, ZONES};
use super::names::{ENCODINGS, IN_FILES, IN_TABLES, respelt, stored_name};
use super::numbers::Holder;
use super::rules::Rule;
use fastrand::Rng;

/// What a column has of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Null,
    Text(String),
    Whole(i64),
    /// Digits, perhaps with a point among them.
    Real(String),
    /// Nothing, and the cell's text is kept.
    Rescued,
}

/// A cell of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its text.
    pub text: String,
    /// What a JSON file has instead of a text.
    pub raw: Option<String>,
    pub value: Value,
    /// The moment that it says.
    pub said: Option<Said>,
}

impl Cell {
    pub fn of(text: &str, value: Value) -> Self {
        Self { text: text.to_owned(), raw: None, value, said: None }
    }
}

/// How a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    /// A row is an object; in a document, or one a line.
    Objects {
        root: Option<&'static str>,
        is_document: bool,
    },
    /// The same, where an object has its lines in this member.
    Nested {
        root: Option<&'static str>,
        is_document: bool,
        lines: &'static str,
    },
}

/// A column of a table, with what is declared of it.
#[derive(Clone, Debug)]
pub struct Column {
    /// What the table calls it.
    pub name: String,
    /// What the file calls it; members of JSON by their path.
    pub in_file: String,
    /// The same, by members.
    pub path: Vec<String>,
    pub maker: Maker,
    /// Which table it goes to.
    pub is_of_line: bool,
    /// Whether it stands in the lines of JSON objects.
    pub is_in_line: bool,
    pub is_stored: bool,
    pub key_part: Option<usize>,
    /// The column whose cells it has.
    pub copy_of: Option<usize>,
    pub is_filled: bool,
    /// Whether it is called as the table calls another one.
    pub is_namesake: bool,
    pub rule: Option<Rule>,
    /// Its part of the declaration.
    pub declared: Option<(String, Vec<String>)>,
}

impl Column {
    /// Whether the declaration says what a file calls it.
    pub fn has_from(&self) -> bool {
        let mut entries = self.declared.iter().flat_map(|(_, entries)| entries);
        entries.any(|entry| entry.starts_with("from"))
    }
}

/// A row: the record that it belongs to, and a cell of each column; no cell where a JSON object
/// lacks it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub record: usize,
    pub cells: Vec<Option<Cell>>,
    /// Whether it is an object without lines.
    pub is_bare: bool,
    /// Whether it is no data, as a total.
    pub is_total: bool,
}

/// A file as it is to be written, and its declaration.
#[derive(Clone, Debug)]
pub struct Table {
    pub dataset: String,
    pub table: String,
    pub lines_table: Option<String>,
    pub market: &'static str,
    pub form: Form,
    pub alphabet: Alphabet,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// Whether equal lines count once.
    pub drops_duplicates: bool,
    /// Which of several records with one key counts, `first` or `last`.
    pub repeated_keys: Option<&'static str>,
    /// The column that says which rows are no data.
    pub totals: Option<usize>,
    pub header_has: bool,
    /// What the declaration says of the dialect.
    pub dialect: Vec<String>,
    pub layer: Layer,
    pub new_columns: Option<&'static str>,
    pub key_names: Vec<String>,
}

const PATHS: [&str; 2] = ["billing", "Ship To"];

impl Table {
    /// A table without rows.
    pub fn any(random: &mut Rng, number: u64, surroundings: &Surroundings) -> Self {
        let has_lines = random.bool();
        let form = form(random, has_lines);
        let of_markets = [("", None), ("", None)].into_iter();
        let of_markets: Vec<(&'static str, Option<&Layer>)> = of_markets
            .chain(surroundings.markets.iter().map(|(name, layer)| (*name, Some(layer))))
            .collect();
        let (market, of_market) = of_markets[random.usize(..of_markets.len())];
        let mut layer = Layer::any(random, 3);
        let of_others = of_market.and_then(|layer| layer.encoding);
        let (encoding, letters) = match random.u8(..3) {
            0 => ENCODINGS[random.usize(..ENCODINGS.len())],
            _ => (
                of_others.unwrap_or("utf-8"),
                if of_others.is_some() { "äöß" } else { "äß名字Дя€😀" },
            ),
        };
        if of_others != Some(encoding) && !(of_others.is_none() && encoding == "utf-8") {
            layer.encoding = Some(encoding);
        }
        let alphabet =
            Alphabet { encoding, letters: letters.chars().collect(), forbidden: String::new() };
        let nothing = Layer::default();
        let mut table = Self {
            dataset: format!("t{number}"),
            table: if random.u8(..3) == 0 {
                format!("things_{number}")
            } else {
                format!("t{number}")
            },
            lines_table: has_lines.then(|| format!("lines_{number}")),
            market,
            form,
            alphabet,
            columns: Vec::new(),
            rows: Vec::new(),
            drops_duplicates: has_lines && random.u8(..3) == 0,
            repeated_keys: None,
            totals: None,
            header_has: false,
            dialect: Vec::new(),
            layer,
            new_columns: [None, None, Some("record"), Some("line"), Some("ignore")]
                [random.usize(..5)],
            key_names: Vec::new(),
        };
        if table.form == Form::Csv && random.u8(..8) == 0 {
            // Nothing stands around cells, so none has what stands between them.
            table.dialect.push("quote = \"none\"".to_owned());
            table.alphabet.forbidden = "\t|^~\r\n".to_owned();
        }
        table.repeated_keys =
            (!has_lines && random.u8(..4) == 0).then(|| ["first", "last"][random.usize(..2)]);
        let layers = [of_market.unwrap_or(&nothing), &surroundings.defaults];
        table.add_columns(random, layers);
        table.choose_totals(random);
        super::rows::fill(random, &mut table);
        table
    }

    pub fn is_keyless(&self) -> bool {
        self.key().is_empty()
    }

    /// The columns of the key, in its order.
    pub fn key(&self) -> Vec<usize> {
        let mut parts: Vec<(usize, usize)> = (0..self.columns.len())
            .filter_map(|column| Some((self.columns[column].key_part?, column)))
            .collect();
        parts.sort_unstable();
        parts.into_iter().map(|(_, column)| column).collect()
    }

    fn add_columns(&mut self, random: &mut Rng, layers: [&Layer; 2]) {
        let keys = if self.lines_table.is_none() && random.u8(..10) == 0 {
            0
        } else {
            random.usize(1..=3)
        };
        let mut in_files = IN_FILES;
        random.shuffle(&mut in_files);
        let has = |text: &str| self.alphabet.has(text);
        let mut in_files: Vec<(&str, &str)> =
            in_files.into_iter().filter(|(spelling, _)| has(spelling)).collect();
        let mut in_tables = IN_TABLES;
        random.shuffle(&mut in_tables);
        let mut in_tables = in_tables.to_vec();
        // Names that a declaration may give a file's column, and that the file does not have.
        let absent: Vec<&str> =
            in_files.split_off(in_files.len() - 4).into_iter().map(|(name, _)| name).collect();
        let count = keys + random.usize(1..7);
        for (number, file_name) in in_files.into_iter().take(count).enumerate() {
            let key_part = (number < keys).then_some(number);
            let table_name = in_tables.pop().expect("there are more");
            self.add_column(random, layers, key_part, file_name, table_name, &absent);
        }
        // The table's order of the key need not be the file's of columns.
        if keys > 1 && random.bool() {
            let parts = self.columns.iter_mut().filter_map(|column| column.key_part.as_mut());
            parts.for_each(|part| *part = keys - 1 - *part);
        }
        if self.form == Form::Csv && random.bool() {
            random.shuffle(&mut self.columns);
        }
        self.add_copies(random, layers, &mut in_tables);
        self.add_namesake(random, layers);
        let names = self.key().into_iter().map(|column| self.other_name(random, column));
        self.key_names = names.collect();
    }

    fn add_column(
        &mut self,
        random: &mut Rng,
        layers: [&Layer; 2],
        key_part: Option<usize>,
        (spelling, snake): (&str, &str),
        table_name: &str,
        absent: &[&str],
    ) {
        let is_key = key_part.is_some();
        let kind = if is_key { Kind::Identifier } else { any_kind(random) };
        let is_in_line = matches!(self.form, Form::Nested { .. }) && !is_key && random.bool();
        let spelling = respelt(random, spelling, |text| self.alphabet.has(text));
        let (path, own_snake) = self.placed(random, &spelling, snake, is_in_line);
        let in_file = path.join(".");
        let is_declared = match kind {
            _ if is_key => random.bool(),
            kind if kind.is_found() => random.u8(..4) == 0,
            _ => true,
        };
        let has_from = is_declared && random.u8(..3) > 0;
        let name = if has_from { table_name.to_owned() } else { stored_name(&own_snake) };
        let owner = (is_declared && self.lines_table.is_some() && !is_key && random.bool())
            .then(|| random.bool());
        let is_stored = is_key || is_declared || self.new_columns != Some("ignore");
        let is_of_line = self.lines_table.is_some()
            && match (&self.form, owner) {
                (_, Some(is_of_line)) => is_of_line,
                (Form::Nested { .. }, None) => is_in_line,
                _ => self.new_columns != Some("record"),
            };
        let mut layer = if is_declared { Layer::any(random, 6) } else { Layer::default() };
        let all = [&self.layer, layers[0], layers[1]];
        let kind = fitting_kind(kind, &mut layer, all, random);
        let is_filled = self.form == Form::Csv && random.u8(..5) == 0;
        let of_layers = Layers([&layer, all[0], all[1], all[2]]);
        let is_filled = is_filled && (is_key || of_layers.tokens() != [""]);
        let is_json = self.form != Form::Csv;
        let maker =
            Maker::new(random, kind, &of_layers, &self.alphabet, [is_filled, is_key, is_json]);
        // Nothing can be declared without a place for it.
        let mut maker = maker;
        if !is_declared {
            maker.forget_rewriting();
        }
        let has_rule = is_declared && !is_key && self.repeated_keys.is_none();
        let rule = if has_rule && random.u8(..6) == 0 { Rule::any(random, kind) } else { None };
        let declared = is_declared.then(|| {
            let mut entries = Vec::new();
            if has_from {
                let mut from = vec![in_file.clone()];
                if random.u8(..3) == 0 {
                    let other = absent[random.usize(..absent.len())].to_owned();
                    from.insert(random.usize(..2), other);
                }
                entries.push(format!("from = {}", one_or_several(&from)));
            }
            let types = kind.types();
            if !is_key && !types.is_empty() || is_key && random.u8(..4) == 0 {
                entries.push(format!("type = \"{}\"", types[random.usize(..types.len())]));
            }
            if let Some(is_of_line) = owner {
                entries.push(format!("of = \"{}\"", if is_of_line { "line" } else { "record" }));
            }
            entries.extend(maker.entries());
            entries.extend(layer.entries());
            entries.extend(rule.map(Rule::entry));
            if kind == Kind::Text && random.u8(..6) == 0 {
                entries.push("swallows = true".to_owned());
            }
            let key = match (has_from, random.bool()) {
                (true, _) => table_name.replace('_', [" ", "_", "-"][random.usize(..3)]),
                (false, true) => in_file.clone(),
                (false, false) => own_snake.clone(),
            };
            (key, entries)
        });
        self.columns.push(Column {
            name,
            in_file,
            path,
            maker,
            is_of_line,
            is_in_line,
            is_stored,
            key_part,
            copy_of: None,
            is_filled,
            is_namesake: false,
            rule,
            declared,
        });
    }

    /// Where a member stands, and its path in snake case.
    fn placed(
        &self,
        random: &mut Rng,
        spelling: &str,
        snake: &str,
        is_in_line: bool,
    ) -> (Vec<String>, String) {
        let mut path: Vec<String> = Vec::new();
        if let (Form::Nested { lines, .. }, true) = (&self.form, is_in_line) {
            path.extend(lines.split('.').map(str::to_owned));
        } else if self.form != Form::Csv && random.u8(..4) == 0 {
            path.push(PATHS[random.usize(..PATHS.len())].to_owned());
        }
        let above: String =
            path.iter().map(|part| part.to_lowercase().replace(' ', "_") + "_").collect();
        path.push(spelling.to_owned());
        (path, format!("{above}{snake}"))
    }

    /// A column of the file that is called as the table calls another one.
    fn add_namesake(&mut self, random: &mut Rng, layers: [&Layer; 2]) {
        let mut own = self.columns.iter();
        let Some(other) = own.find(|column| column.has_from()).filter(|_| random.u8(..4) == 0)
        else {
            return;
        };
        let in_file = match random.bool() {
            true => other.name.clone(),
            false => other.name.to_uppercase().replace('_', " "),
        };
        let nothing = Layer::default();
        let of_layers = Layers([&nothing, &self.layer, layers[0], layers[1]]);
        let is_json = self.form != Form::Csv;
        let kind = Kind::FoundText;
        let mut maker =
            Maker::new(random, kind, &of_layers, &self.alphabet, [false, false, is_json]);
        maker.forget_rewriting();
        let is_nested = matches!(self.form, Form::Nested { .. });
        self.columns.push(Column {
            name: format!("{}_2", other.name),
            path: vec![in_file.clone()],
            in_file,
            maker,
            is_of_line: self.lines_table.is_some()
                && !is_nested
                && self.new_columns != Some("record"),
            is_in_line: false,
            is_stored: self.new_columns != Some("ignore"),
            key_part: None,
            copy_of: None,
            is_filled: false,
            is_namesake: true,
            rule: None,
            declared: None,
        });
    }

    /// Columns that have the cells of others.
    fn add_copies(&mut self, random: &mut Rng, layers: [&Layer; 2], in_tables: &mut Vec<&str>) {
        for source in 0..self.columns.len() {
            let column = self.columns[source].clone();
            if !column.has_from() || random.u8(..4) > 0 {
                continue;
            }
            let is_moment = column.maker.kind == Kind::Timestamp && !column.maker.rewrites();
            let kind =
                if is_moment && random.bool() { Kind::CopiedMoment } else { Kind::CopiedText };
            let mut layer = Layer::default();
            if kind == Kind::CopiedMoment {
                layer.zone = Some(ZONES[random.usize(..ZONES.len())]);
                layer.dates = Some(column.maker.dates());
            }
            let of_layers = Layers([&layer, &self.layer, layers[0], layers[1]]);
            let is_json = self.form != Form::Csv;
            let maker =
                Maker::new(random, kind, &of_layers, &self.alphabet, [false, false, is_json]);
            let name = in_tables.pop().expect("there are more");
            let mut entries = vec![
                format!("from = {}", quoted(&column.in_file)),
                format!("type = \"{}\"", kind.types()[0]),
            ];
            entries.extend(layer.entries());
            let is_of_line = self.lines_table.is_some() && random.bool();
            if self.lines_table.is_some() {
                entries.push(format!("of = \"{}\"", if is_of_line { "line" } else { "record" }));
            }
            self.columns.push(Column {
                name: name.to_owned(),
                maker,
                is_of_line,
                is_stored: true,
                key_part: None,
                copy_of: Some(source),
                is_filled: false,
                rule: None,
                declared: Some((name.to_owned(), entries)),
                ..column
            });
        }
    }

    fn choose_totals(&mut self, random: &mut Rng) {
        let own: Vec<usize> = (0..self.columns.len())
            .filter(|&column| {
                let Column { copy_of, is_namesake, maker, .. } = &self.columns[column];
                copy_of.is_none()
                    && !is_namesake
                    && matches!(maker.kind, Kind::Text | Kind::Identifier | Kind::FoundText)
            })
            .collect();
        if !own.is_empty() && random.u8(..3) == 0 {
            self.totals = Some(own[random.usize(..own.len())]);
        }
    }
}

fn form(random: &mut Rng, has_lines: bool) -> Form {
    let root = [None, Some("orders"), Some("data.items")][random.usize(..3)];
    let is_document = random.u8(..3) > 0;
    // Lines of text have nothing around them.
    let root = root.filter(|_| is_document);
    match random.u8(..10) {
        0..5 => Form::Csv,
        5..8 if has_lines => Form::Nested {
            root,
            is_document,
            lines: ["line_items", "cart.items"][random.usize(..2)],
        },
        _ => Form::Objects { root, is_document },
    }
}

fn any_kind(random: &mut Rng) -> Kind {
    [
        Kind::Text,
        Kind::Text,
        Kind::Identifier,
        Kind::Number(Holder::Integer),
        Kind::Number(Holder::Decimal),
        Kind::Number(Holder::Decimal),
        Kind::Number(Holder::Double),
        Kind::Timestamp,
        Kind::Timestamp,
        Kind::Date,
        Kind::Boolean,
        Kind::FoundText,
        Kind::FoundWhole,
        Kind::FoundDecimal,
        Kind::FoundMoment,
        Kind::FoundDay,
    ][random.usize(..16)]
}

/// A kind that can be written as all places together say, with what the column says of it.
fn fitting_kind(kind: Kind, layer: &mut Layer, others: [&Layer; 3], random: &mut Rng) -> Kind {
    let [one, two, three] = others;
    let own = layer.clone();
    let layers = Layers([&own, one, two, three]);
    match kind {
        Kind::FoundDecimal if layers.decimal().is_none() => Kind::FoundWhole,
        Kind::FoundMoment | Kind::FoundDay if layers.dates() != Dates::Iso => Kind::FoundText,
        Kind::Number(_) if layers.decimal().is_none() => {
            layer.decimal = Some(if random.bool() { '.' } else { ',' });
            kind
        }
        Kind::Date if !layers.dates().has_days() => {
            layer.dates = Some(Dates::any(random, true));
            kind
        }
        _ => kind,
    }
}
