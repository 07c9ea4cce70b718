//! Cells: what a file says in one, and what that means to its column.

use super::layers::{Layers, quoted};
use super::moments::{self, Dates, Said, Zone};
use super::names::can_write;
use super::numbers::{Holder, SIGNS, Style};
use super::table::{Cell, Value};
use fastrand::Rng;

const WORDS: [&str; 16] = [
    "red",
    "a, b",
    "c; d",
    "say \"x\"",
    "two\nlines",
    "'q'",
    "=1+1",
    "#",
    "[x]",
    "6\" pipe",
    "it's",
    "\ttabbed",
    "{\"a\": 1}",
    "back\\slash",
    "x|y",
    "Tot al",
];

/// What would be something else if nobody had said that it is text.
const NUMBER_LIKE: [&str; 8] =
    ["007", "1.250", "1,5", "2022-02-17", "3.68E+29", "true", "(5)", "03/04/2022"];

const YES: [&str; 6] = ["true", "Yes", "y", "T", "on", "1"];
const NO: [&str; 6] = ["false", "no", "N", "f", "OFF", "0"];

/// The letters that a file may have.
#[derive(Clone, Debug)]
pub struct Alphabet {
    pub encoding: &'static str,
    pub letters: Vec<char>,
    /// What no cell may have, because nothing stands around cells.
    pub forbidden: String,
}

impl Alphabet {
    pub fn has(&self, text: &str) -> bool {
        !text.contains(|c| self.forbidden.contains(c)) && can_write(self.encoding, text)
    }

    fn word(&self, random: &mut Rng) -> String {
        let count = random.usize(1..6);
        (0..count).map(|_| self.letters[random.usize(..self.letters.len())]).collect()
    }

    /// A text that begins with a letter or a sign and is no number, day or total.
    pub fn text(&self, random: &mut Rng) -> String {
        let text = match random.u8(..3) {
            0 => WORDS[random.usize(..WORDS.len())].to_owned(),
            1 => format!("w{}", random.u8(..30)),
            _ => format!("b{} {}", self.word(random), self.word(random)),
        };
        if self.has(text.trim()) { text.trim().to_owned() } else { "plain".to_owned() }
    }
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Identifier,
    Number(Holder),
    Timestamp,
    Date,
    Boolean,
    /// Those of which a declaration says no type.
    FoundText,
    FoundWhole,
    FoundDecimal,
    FoundMoment,
    FoundDay,
    /// What another column says, as text.
    CopiedText,
    /// The moment that another column says, in another zone.
    CopiedMoment,
}

impl Kind {
    /// The words of the configuration for it.
    pub fn types(self) -> &'static [&'static str] {
        match self {
            Self::Text | Self::CopiedText => &["text"],
            Self::Identifier => &["identifier"],
            Self::Number(Holder::Integer) => &["integer"],
            Self::Number(Holder::Decimal) => &["decimal", "money"],
            Self::Number(Holder::Double) => &["double"],
            Self::Timestamp | Self::CopiedMoment => &["timestamp"],
            Self::Date => &["date"],
            Self::Boolean => &["boolean"],
            _ => &[],
        }
    }

    pub const fn is_found(self) -> bool {
        matches!(
            self,
            Self::FoundText
                | Self::FoundWhole
                | Self::FoundDecimal
                | Self::FoundMoment
                | Self::FoundDay
        )
    }
}

/// How a column takes a part of its cells, and what stands around that part.
const TAKES: [(&str, &str, &str); 5] = [
    ("^#?(.+)$", "#", ""),
    (r"^(.*\S)\s*(?:kg|pcs)$", "", " kg"),
    (r"^\[(.*)\]$", "[", "]"),
    (r"(?i)^no\.\s*(\S.*)$", "No. ", ""),
    (r"^(?:of|at) (.+)$", "at ", ""),
];

/// How the cells of one column come about.
#[derive(Clone, Debug)]
pub struct Maker {
    pub kind: Kind,
    style: Style,
    dates: Dates,
    pub zone: Zone,
    pub tokens: &'static [&'static str],
    take: Option<usize>,
    /// Words of the file, and what they mean.
    map: Vec<(&'static str, Cell)>,
    is_filled: bool,
    is_key: bool,
    pub is_json: bool,
}

impl Maker {
    pub fn new(
        random: &mut Rng,
        kind: Kind,
        layers: &Layers<'_>,
        alphabet: &Alphabet,
        [is_filled, is_key, is_json]: [bool; 3],
    ) -> Self {
        let decimal = layers.decimal().unwrap_or('.');
        let mut style = Style::any(random, decimal, |text| alphabet.has(text));
        // Letters are a currency only where somebody says so.
        let is_known =
            |sign: &&str| !SIGNS.iter().any(|(own, _)| own == sign) || layers.knows(sign);
        style.currency = style.currency.filter(is_known);
        let mut maker = Self {
            kind,
            style,
            dates: layers.dates(),
            zone: layers.zone(),
            tokens: layers.tokens(),
            take: None,
            map: Vec::new(),
            is_filled,
            is_key,
            is_json,
        };
        let may_rewrite =
            !kind.is_found() && !matches!(kind, Kind::CopiedText | Kind::CopiedMoment);
        if may_rewrite && random.u8(..4) == 0 {
            maker.take = Some(random.usize(..TAKES.len()));
        }
        if may_rewrite && !is_key && random.u8(..4) == 0 {
            let words = ["zz paid", "zz-2", "Zz Frei", "zz,x"];
            let words = words.into_iter().filter(|word| alphabet.has(word));
            let words: Vec<&str> = words.take(random.usize(1..4)).collect();
            for word in words {
                let cell = match random.u8(..6) {
                    0 => Cell::of("", Value::Null),
                    _ => maker.core(random, alphabet, false),
                };
                // What is mapped is a value, and no word for none.
                if cell.text.is_empty() || !maker.means_nothing(&cell.text) {
                    maker.map.push((word, cell));
                }
            }
        }
        maker
    }

    /// Whether cells mean something else than they say.
    pub fn rewrites(&self) -> bool {
        self.take.is_some() || !self.map.is_empty()
    }

    /// Takes cells for what they say.
    pub fn forget_rewriting(&mut self) {
        self.take = None;
        self.map.clear();
    }

    pub const fn dates(&self) -> Dates {
        self.dates
    }

    fn means_nothing(&self, text: &str) -> bool {
        self.tokens.contains(&text.trim())
    }

    /// `take` and `map` of the declaration.
    pub fn entries(&self) -> Vec<String> {
        let mut entries = Vec::new();
        entries.extend(self.take.map(|take| format!("take = '{}'", TAKES[take].0)));
        if !self.map.is_empty() {
            let pairs = self.map.iter();
            let pairs = pairs.map(|(word, to)| format!("{} = {}", quoted(word), quoted(&to.text)));
            entries.push(format!("map = {{ {} }}", pairs.collect::<Vec<_>>().join(", ")));
        }
        entries
    }

    /// A cell.
    pub fn cell(&self, random: &mut Rng, alphabet: &Alphabet) -> Cell {
        let typed = !matches!(
            self.kind,
            Kind::Text | Kind::Identifier | Kind::CopiedText | Kind::CopiedMoment
        );
        match random.u8(..24) {
            0..3 if !self.is_key => {
                let own: Vec<&str> = self
                    .tokens
                    .iter()
                    .copied()
                    .filter(|token| !(self.is_filled && token.is_empty()) && alphabet.has(token))
                    .collect();
                if !own.is_empty() {
                    let token = own[random.usize(..own.len())];
                    let is_null = self.is_json && random.u8(..4) == 0;
                    let token = if is_null { "" } else { token };
                    let raw = is_null.then(|| "null".to_owned());
                    let may_be_padded = raw.is_none() && !token.is_empty() && !self.is_filled;
                    let is_padded = may_be_padded && random.u8(..6) == 0;
                    let text = if is_padded { format!(" {token} ") } else { token.to_owned() };
                    return Cell { raw, ..Cell::of(&text, Value::Null) };
                }
            }
            3 if typed && !self.kind.is_found() => {
                let texts = ["soon", "1.2M", "12 kilos", "no 5", "32/13/2022", "1,2,3.4"];
                let text = texts[random.usize(..texts.len())];
                if alphabet.has(text) {
                    return Cell::of(text, Value::Rescued);
                }
            }
            _ => {}
        }
        self.wrapped(random, alphabet)
    }

    /// One of a few values, as the file writes them.
    pub fn shared_cell(&self, number: u8, alphabet: &Alphabet) -> Cell {
        let text = format!("S{number}");
        let mut cell = Cell::of(&text, Value::Text(text.clone()));
        if let Some((_, before, behind)) = self.take.map(|take| TAKES[take]) {
            let text = format!("{before}{text}{behind}");
            cell.text = if alphabet.has(&text) { text } else { cell.text };
        }
        cell
    }

    /// A value as the file writes it: in other words, and with something around it.
    fn wrapped(&self, random: &mut Rng, alphabet: &Alphabet) -> Cell {
        let mut cell = match self.map.get(random.usize(..2 * self.map.len() + 1)) {
            Some((word, meant)) => Cell { text: (*word).to_owned(), ..meant.clone() },
            None => self.core(random, alphabet, self.is_json),
        };
        // What the declared words are for nothing is none, whoever wrote it.
        if self.means_nothing(&cell.text) {
            return Cell { value: Value::Null, said: None, ..cell };
        }
        if let Some((_, before, behind)) = self.take.map(|take| TAKES[take])
            && cell.raw.is_none()
            && random.u8(..4) > 0
        {
            let text = format!("{before}{}{behind}", cell.text);
            if alphabet.has(&text) {
                cell.text = text;
            }
        }
        let may_be_padded = !self.is_filled
            && !self.kind.is_found()
            && (self.rewrites() || !matches!(self.kind, Kind::Text | Kind::CopiedText));
        if may_be_padded && cell.raw.is_none() && random.u8(..12) == 0 {
            cell.text = [" ", "  "][random.usize(..2)].to_owned() + &cell.text + " ";
        }
        cell
    }

    /// A value as its type has it, in JSON perhaps as something else than a text.
    fn core(&self, random: &mut Rng, alphabet: &Alphabet, may_be_raw: bool) -> Cell {
        let Cell { text, raw, value, said } = self.any_core(random, alphabet);
        // The text of a number of JSON that does not fit is kept with the column's own signs.
        let raw = raw.filter(|_| may_be_raw && value != Value::Rescued && random.bool());
        let mut text = raw.clone().unwrap_or(text);
        // The parts of a pattern reach no further than a line, and no cell has one within another.
        if self.take.is_some() {
            text = text.replace(['\n', '#', '[', ']'], "");
            text = if text.trim().is_empty() { "plain".to_owned() } else { text };
        }
        let value = match (self.kind, value) {
            (Kind::Identifier, _) => Value::Text(identifier(&text)),
            (Kind::Text, _) => Value::Text(text.clone()),
            (_, value) => value,
        };
        Cell { text, raw, value, said }
    }

    fn any_core(&self, random: &mut Rng, alphabet: &Alphabet) -> Cell {
        let text_cell = |text: String| Cell::of(&text, Value::Text(text.clone()));
        match self.kind {
            Kind::Text if random.u8(..3) == 0 => {
                let text = NUMBER_LIKE[random.usize(..NUMBER_LIKE.len())];
                text_cell(if alphabet.has(text) { text } else { "007" }.to_owned())
            }
            Kind::Text | Kind::FoundText | Kind::CopiedText | Kind::CopiedMoment => {
                text_cell(alphabet.text(random))
            }
            Kind::Identifier => {
                let digits = random.u32(..2_000_000).to_string();
                let text = match random.u8(..8) {
                    0 => format!("00{digits}"),
                    1 if alphabet.has("=\"0\"") => format!("=\"0{digits}\""),
                    2 if alphabet.has("'") => format!("'{digits}"),
                    3 if alphabet.has("\u{200b}") => format!("A{digits}\u{200b}"),
                    4 => format!("{digits}{digits}{digits}"),
                    5 => alphabet.text(random),
                    6 => return Cell { raw: Some(digits.clone()), ..text_cell(digits) },
                    _ => format!("a-{digits}"),
                };
                text_cell(text)
            }
            Kind::Number(holder) => self.style.cell(random, holder),
            Kind::Timestamp => {
                let (text, said) = moments::moment(random, self.dates, self.zone);
                let value = said.stored(self.zone).map_or(Value::Rescued, Value::Text);
                Cell { said: Some(said), ..Cell::of(&text, value) }
            }
            Kind::Date => {
                let (text, day) = moments::day(random, self.dates);
                Cell::of(&text, Value::Text(day))
            }
            Kind::Boolean => {
                let is_true = random.bool();
                let words = if is_true { YES } else { NO };
                let text = words[random.usize(..words.len())];
                let raw = Some(is_true.to_string());
                Cell { raw, ..Cell::of(text, Value::Whole(i64::from(is_true))) }
            }
            Kind::FoundWhole => {
                let number = random.i64(-9999..1_000_000);
                let text = number.to_string();
                Cell { raw: Some(text.clone()), ..Cell::of(&text, Value::Whole(number)) }
            }
            Kind::FoundDecimal => {
                let (whole, parts) = (random.u32(1..100_000), random.u32(..10_000));
                let plain = format!("{whole}.{parts:04}");
                let text = plain.replace('.', &self.style.decimal.to_string());
                Cell { raw: Some(plain.clone()), ..Cell::of(&text, Value::Real(plain)) }
            }
            Kind::FoundMoment => loop {
                let (text, said) = moments::moment(random, Dates::Iso, self.zone);
                if let Some(stored) =
                    said.stored(self.zone).filter(|_| text.len() > 10 && !text.contains('.'))
                {
                    return Cell { said: Some(said), ..Cell::of(&text, Value::Text(stored)) };
                }
            },
            Kind::FoundDay => {
                let (text, day) = moments::day(random, Dates::Iso);
                Cell::of(&text, Value::Text(day))
            }
        }
    }
}

/// What an identifier's text is without what spreadsheets and web pages put around it.
fn identifier(text: &str) -> String {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{200b}');
    let excel = text.strip_prefix("=\"").and_then(|text| text.strip_suffix('"'));
    if let Some(excel) = excel.filter(|excel| !excel.is_empty()) {
        return excel.to_owned();
    }
    let digits =
        text.strip_prefix('\'').filter(|text| text.starts_with(|c: char| c.is_ascii_digit()));
    digits.unwrap_or(text).to_owned()
}

impl Said {
    /// What a column of this zone has of it.
    pub fn value_in(&self, zone: Zone) -> Value {
        self.stored(zone).map_or(Value::Rescued, Value::Text)
    }
}
