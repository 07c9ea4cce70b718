//! Tables as shops would write them: in some dialect, locale and style of currencies, with what
//! each cell means.

use crate::written_letters::Writing;
use fastrand::Rng;

/// What a cell means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing.
    Nothing,
    /// A number, as digits with a point before decimals and no zeros at its ends.
    Number(String),
    /// A moment, as its canonical text.
    Moment(String),
    /// What an identifier is without what a spreadsheet or a web page put around it.
    Id(String),
    /// An identifier that a spreadsheet made a number of: nobody knows it any more.
    Lost,
    /// Something that is no number, such as a list of ids.
    Other,
}

/// A cell as it is written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its text.
    pub text: String,
    /// What it means.
    pub meaning: Meaning,
    /// Whether it is a number of JSON.
    pub is_json_number: bool,
}

impl Written {
    const fn text(text: String, meaning: Meaning) -> Self {
        Self { text, meaning, is_json_number: false }
    }
}

/// A file, and what its cells mean.
#[derive(Clone, Debug)]
pub struct WrittenTable {
    /// `csv` or `json`.
    pub extension: &'static str,
    /// The file.
    pub text: String,
    /// The same as it is written to disk.
    pub bytes: Vec<u8>,
    /// Name of the key.
    pub key: String,
    /// Names of the columns after the key.
    pub columns: Vec<String>,
    /// Of each row its key, as it must be stored; `None` where it is lost.
    pub keys: Vec<Option<String>>,
    /// Of each row its cells after the key.
    pub rows: Vec<Vec<Written>>,
}

/// How whoever wrote the tables writes numbers.
#[derive(Clone, Debug)]
pub struct Locale {
    decimal: char,
    /// What stands between groups of thousands, if anything.
    group: Option<char>,
    delimiter: char,
    currency: Option<&'static str>,
    is_currency_behind: bool,
    minus: Minus,
    is_json: bool,
    writing: Writing,
    /// Whether tables are damaged as exports are: shifted cells, lost identifiers, invisible
    /// characters; and hold days, and words in letters of their encoding.
    is_hostile: bool,
}

#[derive(Clone, Copy, Debug)]
enum Minus {
    Before,
    Behind,
    Parentheses,
    Typographic,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Whole,
    Money,
    Weight,
    Measure,
    Long,
    Id,
    Phone,
    Version,
    Magnitude,
    Word,
    Empty,
    Mixed,
    TwoCurrencies,
    Day,
    DayOtherwise,
    Name,
    Phrase,
    Notation,
}

impl Content {
    const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Whole
                | Self::Money
                | Self::Weight
                | Self::Measure
                | Self::Long
                | Self::Magnitude
                | Self::Mixed
                | Self::TwoCurrencies
        )
    }
}

impl Locale {
    /// Any.
    pub fn any(random: &mut Rng) -> Self {
        let decimal = if random.bool() { '.' } else { ',' };
        let groups: &[Option<char>] = match decimal {
            '.' => &[
                None,
                Some(','),
                Some(','),
                Some('\''),
                Some(' '),
                Some('\u{a0}'),
                Some('\u{2009}'),
            ],
            _ => &[None, Some('.'), Some('.'), Some('’'), Some(' '), Some('\u{202f}')],
        };
        Self {
            decimal,
            group: groups[random.usize(..groups.len())],
            delimiter: [',', ';', '\t', '|'][random.usize(..4)],
            currency: [
                None,
                None,
                Some("₦"),
                Some("$"),
                Some("€"),
                Some("KSh"),
                Some("Rs."),
                Some("NGN"),
            ][random.usize(..8)],
            is_currency_behind: random.bool(),
            minus: [Minus::Before, Minus::Behind, Minus::Parentheses, Minus::Typographic]
                [random.usize(..4)],
            is_json: random.u8(..4) == 0,
            writing: Writing::UTF_8,
            is_hostile: false,
        }
    }

    /// Any, in any encoding and with what exports do to tables.
    pub fn hostile(random: &mut Rng) -> Self {
        let locale = Self { is_hostile: true, writing: Writing::any(random), ..Self::any(random) };
        // Whoever has no letter for a sign does without.
        let has = |text: &str| locale.writing.has(text);
        Self {
            group: locale.group.filter(|group| has(&group.to_string())),
            currency: locale.currency.filter(|currency| has(currency)),
            minus: if has("\u{2212}") { locale.minus } else { Minus::Behind },
            ..locale
        }
    }

    /// A number of that many decimals.
    fn number(&self, random: &mut Rng, digits: usize, places: usize) -> Written {
        let whole = random.u64(..10_u64.pow(u32::try_from(digits).expect("few"))).to_string();
        let fraction: String = (0..places).map(|_| char::from(b'0' + random.u8(..10))).collect();
        let is_negative =
            random.u8(..6) == 0 && format!("{whole}{fraction}").bytes().any(|digit| digit != b'0');
        let kept = fraction.trim_end_matches('0');
        let point = if kept.is_empty() { "" } else { "." };
        let sign = if is_negative { "-" } else { "" };
        let meaning = Meaning::Number(format!("{sign}{whole}{point}{kept}"));
        if self.is_json && random.bool() {
            let point = if places > 0 { "." } else { "" };
            return Written {
                text: format!("{sign}{whole}{point}{fraction}"),
                meaning,
                is_json_number: true,
            };
        }
        let is_grouped = random.u8(..3) > 0;
        let mut text = match self.group.filter(|_| is_grouped) {
            Some(group) => grouped(&whole, group),
            None => whole,
        };
        if places > 0 {
            text.push(self.decimal);
            text.push_str(&fraction);
        }
        let signed = match (is_negative, self.minus) {
            (false, _) => text,
            (true, Minus::Before) => format!("-{text}"),
            (true, Minus::Behind) => format!("{text}-"),
            (true, Minus::Parentheses) => format!("({text})"),
            (true, Minus::Typographic) => format!("\u{2212}{text}"),
        };
        Written { text: signed, meaning, is_json_number: false }
    }

    fn amount(&self, random: &mut Rng, currency: Option<&str>) -> Written {
        let (digits, places) = (random.usize(1..8), [0, 2, 2, 2, 3][random.usize(..5)]);
        let number = self.number(random, digits, places);
        let (Some(currency), false) = (currency, number.is_json_number) else { return number };
        let text = match self.is_currency_behind {
            true => format!("{} {currency}", number.text),
            false => format!("{currency} {}", number.text),
        };
        Written { text, ..number }
    }

    fn cell(&self, random: &mut Rng, content: Content) -> Written {
        let other = |text: String| Written::text(text, Meaning::Other);
        if content == Content::Empty || random.u8(..12) == 0 {
            let text = ["", "-", "null", "N/A"][random.usize(..4)].to_owned();
            return Written::text(text, Meaning::Nothing);
        }
        match content {
            Content::Empty => unreachable!("handled above"),
            Content::Whole => {
                let digits = random.usize(1..8);
                self.number(random, digits, 0)
            }
            Content::Money => self.amount(random, self.currency),
            Content::TwoCurrencies => {
                let currency = [Some("₦"), Some("KSh")][random.usize(..2)];
                let writer = Self { is_json: false, ..self.clone() };
                writer.amount(random, currency)
            }
            Content::Weight => self.number(random, 1, 3),
            Content::Measure => {
                let (digits, places) = (random.usize(1..4), random.usize(4..9));
                self.number(random, digits, places)
            }
            Content::Long => {
                let (digits, places) = (random.usize(12..19), random.usize(..7));
                self.number(random, digits, places)
            }
            Content::Id => {
                let id = format!("{:05}", random.u32(..1000));
                let text = if self.is_hostile { around(random, &id) } else { id.clone() };
                Written::text(text, Meaning::Id(id))
            }
            Content::Phone => other(format!("+2547{:08}", random.u32(..100_000_000))),
            Content::Version => {
                other(format!("{}.{}.{}", random.u8(..9), random.u8(..20), random.u8(..9)))
            }
            Content::Magnitude => {
                let (number, letters) =
                    (self.number(random, 2, 1).text, ["M", "k", " CR", " DR", " kg", "%", "E5"]);
                other(format!("{number}{}", letters[random.usize(..letters.len())]))
            }
            Content::Word => {
                other(["no 5", "TOP 10", "soon", "12 - 15", "1/2"][random.usize(..5)].to_owned())
            }
            Content::Day => {
                let [day, _] = day(random);
                Written::text(day.clone(), Meaning::Moment(day))
            }
            Content::DayOtherwise => other(day(random)[1].clone()),
            Content::Name => other(self.writing.word(random)),
            Content::Phrase => {
                const PHRASES: [&str; 7] =
                    ["red, large", "Nairobi, Kenya", "12,30pm", "a,,b", "x,", "shelf 7, 8", "5,x"];
                let phrase = PHRASES[random.usize(..PHRASES.len())];
                other(phrase.replace(',', &self.delimiter.to_string()))
            }
            // The exponent is all that is left of many digits.
            Content::Notation => {
                let sign = if self.decimal == '.' { '.' } else { ',' };
                Written::text(format!("1{sign}23E+{}", random.u8(12..16)), Meaning::Lost)
            }
            Content::Mixed => {
                let contents =
                    [Content::Whole, Content::Weight, Content::Money, Content::Word, Content::Id];
                let content = contents[random.usize(..contents.len())];
                self.cell(random, content)
            }
        }
    }

    /// A table of numbers and of what looks like some.
    pub fn table(&self, random: &mut Rng, key: &str, names: &[&str]) -> WrittenTable {
        const HOSTILE: [Content; 9] = [
            Content::Day,
            Content::DayOtherwise,
            Content::DayOtherwise,
            Content::Name,
            Content::Name,
            Content::Name,
            Content::Phrase,
            Content::Notation,
            Content::Id,
        ];
        const CONTENTS: [Content; 18] = [
            Content::Whole,
            Content::Whole,
            Content::Money,
            Content::Money,
            Content::Money,
            Content::Weight,
            Content::Weight,
            Content::Measure,
            Content::Long,
            Content::Id,
            Content::Phone,
            Content::Version,
            Content::Magnitude,
            Content::Word,
            Content::Empty,
            Content::Mixed,
            Content::Mixed,
            Content::TwoCurrencies,
        ];
        let content = |random: &mut Rng| match self.is_hostile && random.u8(..3) == 0 {
            true => HOSTILE[random.usize(..HOSTILE.len())],
            false => CONTENTS[random.usize(..CONTENTS.len())],
        };
        let contents = names.iter().map(|name| match content(random) {
            // No shop has numbers for identifiers or times.
            content if name.ends_with("_id") && content.is_number() => Content::Id,
            content if name.ends_with("_time") && content.is_number() => Content::Day,
            content => content,
        });
        let contents: Vec<Content> = contents.collect();
        let quoting = match random.u8(..8) {
            0 | 1 => Quoting::All,
            2 | 3 if self.is_hostile => Quoting::None,
            _ => Quoting::Needed,
        };
        let mut rows: Vec<Vec<Written>> = (0..random.usize(1..8))
            .map(|_| contents.iter().map(|&content| self.cell(random, content)).collect())
            .collect();
        // A row whose cells were shifted into an empty last one looks padded.
        if quoting == Quoting::None
            && let Some(last) = rows.get_mut(2).and_then(|row| row.last_mut())
        {
            *last = Written::text(String::new(), Meaning::Nothing);
        }
        let keys: Vec<(String, Option<String>)> =
            (0..rows.len()).map(|number| self.key(random, number)).collect();
        // What a row says that cannot be loaded, nobody knows.
        let is_whole = |number: usize| keys[number].1.is_some() && quoting != Quoting::None;
        for column in 0..names.len() {
            let cells = || rows.iter().enumerate().filter(|(number, _)| is_whole(*number));
            let has = |currency: &str| cells().any(|(_, row)| row[column].text.contains(currency));
            if ["₦", "KSh"].into_iter().filter(|currency| has(currency)).count() == 2 {
                // Which of the two an amount is in, no number says.
                let cells = rows.iter_mut().map(|row| &mut row[column]);
                cells
                    .filter(|cell| cell.meaning != Meaning::Nothing)
                    .for_each(|cell| cell.meaning = Meaning::Other);
            }
        }
        let columns: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        // A letter may be composed in one file and not in the next.
        let header: Vec<String> = columns
            .iter()
            .map(|name| match self.is_hostile && random.bool() {
                true => name.replace('ö', "o\u{308}"),
                false => name.clone(),
            })
            .collect();
        let text = if self.is_json {
            json(key, &header, &keys, &rows)
        } else {
            self.csv(quoting, key, &header, &keys, &rows)
        };
        WrittenTable {
            extension: if self.is_json { "json" } else { "csv" },
            bytes: self.writing.bytes(&text),
            text,
            key: key.to_owned(),
            columns,
            keys: keys.into_iter().map(|(_, kept)| kept).collect(),
            rows,
        }
    }

    /// The key of a row, as it is written and as it must be stored.
    fn key(&self, random: &mut Rng, number: usize) -> (String, Option<String>) {
        let plain = format!("k{number}");
        match random.u8(..16) {
            _ if !self.is_hostile => (plain.clone(), Some(plain)),
            0 => {
                let key = format!("00{number}7");
                (around(random, &key), Some(key))
            }
            1 => (format!("{}E+15", ["1.23", "1,23"][random.usize(..2)]), None),
            2 => (format!("\u{200b}{plain}\u{a0}"), Some(plain)),
            _ => (plain.clone(), Some(plain)),
        }
    }

    fn csv(
        &self,
        quoting: Quoting,
        key: &str,
        columns: &[String],
        keys: &[(String, Option<String>)],
        rows: &[Vec<Written>],
    ) -> String {
        // A row that ends in a delimiter is one with padding if a text before it was cut; if an
        // amount was, it may be either.
        let ends_open = |row: &[Written]| {
            row.last().is_some_and(|cell| {
                cell.text.trim().is_empty() || cell.text.ends_with(self.delimiter)
            })
        };
        // Where most rows end so, padding is what the file has.
        let is_padded = 2 * rows.iter().filter(|row| ends_open(row)).count() >= rows.len();
        let is_open = |own_key: &str, row: &[Written]| {
            let ends = ends_open(row);
            let is_cut = |cell: &&Written| cell.text.contains(self.delimiter);
            let is_amount = |cell: &Written| matches!(cell.meaning, Meaning::Number(_));
            !ends
                || (!is_padded
                    && !own_key.contains(self.delimiter)
                    && row.iter().filter(is_cut).all(is_amount))
        };
        let line = |cells: Vec<&str>, is_open: bool| {
            let quoted = cells.into_iter().map(|cell| {
                let is_needed = cell.starts_with('"') || cell.contains(self.delimiter);
                let is_quoted = match quoting {
                    Quoting::All => true,
                    Quoting::None => is_needed && !is_open,
                    Quoting::Needed => is_needed,
                };
                match is_quoted {
                    true => format!("\"{}\"", cell.replace('"', "\"\"")),
                    false => cell.to_owned(),
                }
            });
            quoted.collect::<Vec<_>>().join(&self.delimiter.to_string())
        };
        let mut lines = vec![line(
            std::iter::once(key).chain(columns.iter().map(String::as_str)).collect(),
            true,
        )];
        for ((own_key, _), row) in keys.iter().zip(rows) {
            let cells =
                std::iter::once(own_key.as_str()).chain(row.iter().map(|cell| cell.text.as_str()));
            lines.push(line(cells.collect(), is_open(own_key, row)));
        }
        lines.join("\n") + "\n"
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    All,
    Needed,
    /// As whoever joins cells and thinks of nothing else.
    None,
}

/// A day of which nobody can tell whether it begins with the month, as ISO writes it and otherwise.
fn day(random: &mut Rng) -> [String; 2] {
    let (year, month, day) = (random.u16(1990..2030), random.u8(1..=12), random.u8(1..=12));
    let sign = ['/', '.', '-'][random.usize(..3)];
    [format!("{year}-{month:02}-{day:02}"), format!("{day:02}{sign}{month:02}{sign}{year}")]
}

/// An identifier as spreadsheets and web pages leave it.
fn around(random: &mut Rng, id: &str) -> String {
    match random.u8(..8) {
        0 => format!("=\"{id}\""),
        1 => format!("'{id}"),
        2 => format!("\u{200b}{id}"),
        3 => format!("{id}\u{a0}"),
        4 => format!(" {id} "),
        _ => id.to_owned(),
    }
}

fn json(
    key: &str,
    columns: &[String],
    keys: &[(String, Option<String>)],
    rows: &[Vec<Written>],
) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let objects = keys.iter().zip(rows).map(|((own_key, _), row)| {
        let cells = columns.iter().zip(row).map(|(column, cell)| match cell.is_json_number {
            true => format!("{}: {}", text(column), cell.text),
            false => format!("{}: {}", text(column), text(&cell.text)),
        });
        let key = format!("{}: {}", text(key), text(own_key));
        format!("{{{}}}", std::iter::once(key).chain(cells).collect::<Vec<_>>().join(", "))
    });
    format!("[{}]", objects.collect::<Vec<_>>().join(",\n"))
}

/// Digits in groups of three.
pub fn grouped(digits: &str, group: char) -> String {
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|three| String::from_utf8_lossy(three).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(&group.to_string())
}
