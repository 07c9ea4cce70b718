//! Layers: what `[defaults]`, `[markets]`, a dataset and a column say of how files are written, and
//! which of them counts.

use super::moments::{Dates, UTC, ZONES, Zone};
use super::numbers::SIGNS;
use fastrand::Rng;
use std::fmt::Write as _;

/// Cells that mean "no value" where nothing is said of them.
const USUAL_TOKENS: [&str; 8] = ["", "-", "null", "NULL", "N/A", "n/a", "NaN", "None"];

const OTHER_TOKENS: [&[&str]; 6] = [
    &["", "n.a."],
    &["", "?", "--"],
    &["", "k. A.", "0"],
    &["", "NULL", "none given"],
    &[""],
    &["n.a.", "-"],
];

/// What is said at one place.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    pub decimal: Option<char>,
    pub dates: Option<Dates>,
    pub zone: Option<Zone>,
    pub tokens: Option<&'static [&'static str]>,
    pub signs: Vec<usize>,
    pub encoding: Option<&'static str>,
    /// Whether UTF-8 is to be tried before it.
    pub tries_utf8: bool,
}

impl Layer {
    /// Something of it, each part with a chance of one in so many.
    pub fn any(random: &mut Rng, one_in: u8) -> Self {
        let mut is_said = || random.u8(..one_in) == 0;
        let [decimal, dates, zone, tokens, signs] = [(); 5].map(|()| is_said());
        Self {
            decimal: decimal.then(|| if random.bool() { '.' } else { ',' }),
            dates: dates.then(|| Dates::any(random, false)),
            zone: zone.then(|| ZONES[random.usize(..ZONES.len())]),
            tokens: tokens.then(|| OTHER_TOKENS[random.usize(..OTHER_TOKENS.len())]),
            signs: if signs { vec![random.usize(..SIGNS.len())] } else { Vec::new() },
            encoding: None,
            tries_utf8: false,
        }
    }

    /// `key = value` of each part.
    pub fn entries(&self) -> Vec<String> {
        let mut entries = Vec::new();
        if let Some(decimal) = self.decimal {
            entries.push(format!("decimal = {}", quoted(&decimal.to_string())));
        }
        if let Some(dates) = self.dates {
            entries.push(format!("dates = {}", one_or_several(&dates.words())));
        }
        if let Some(zone) = self.zone {
            entries.push(format!("timezone = {}", quoted(zone.name)));
        }
        if let Some(tokens) = self.tokens {
            entries.push(format!("null_tokens = {}", list(tokens)));
        }
        if let Some(encoding) = self.encoding {
            let all = ["utf-8", encoding];
            let all = if self.tries_utf8 { &all[..] } else { &all[1..] };
            entries.push(format!("encoding = {}", one_or_several(all)));
        }
        if !self.signs.is_empty() {
            let signs = self.signs.iter().map(|&sign| SIGNS[sign]);
            let signs = signs.map(|(sign, code)| format!("{} = [\"{code}\"]", quoted(sign)));
            entries.push(format!("currencies = {{ {} }}", signs.collect::<Vec<_>>().join(", ")));
        }
        entries
    }
}

/// What is said for all datasets, and for those of some markets.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub defaults: Layer,
    pub markets: Vec<(&'static str, Layer)>,
}

impl Surroundings {
    pub fn any(random: &mut Rng) -> Self {
        let mut markets: Vec<(&str, Layer)> =
            ["oslo", "Río", "m3"].map(|name| (name, Layer::any(random, 2))).into();
        // One in whose files everything is written in another way.
        markets[2].1.encoding = Some(["windows-1250", "ISO-8859-15"][random.usize(..2)]);
        Self { defaults: Layer::any(random, 2), markets }
    }

    /// Their part of a configuration.
    pub fn toml(&self) -> String {
        let mut toml = format!("[defaults]\n{}\n", self.defaults.entries().join("\n"));
        for (name, layer) in &self.markets {
            let entries = layer.entries().join("\n");
            writeln!(toml, "[markets.{}]\n{entries}", quoted(name)).expect("memory");
        }
        toml
    }
}

/// All that holds for a column, the narrowest first.
#[derive(Clone, Debug)]
pub struct Layers<'a>(pub [&'a Layer; 4]);

impl Layers<'_> {
    pub fn decimal(&self) -> Option<char> {
        self.0.iter().find_map(|layer| layer.decimal)
    }

    pub fn dates(&self) -> Dates {
        self.0.iter().find_map(|layer| layer.dates).unwrap_or(Dates::Iso)
    }

    pub fn zone(&self) -> Zone {
        self.0.iter().find_map(|layer| layer.zone).unwrap_or(UTC)
    }

    pub fn tokens(&self) -> &'static [&'static str] {
        self.0.iter().find_map(|layer| layer.tokens).unwrap_or(&USUAL_TOKENS)
    }

    /// Whether a sign of a currency is known: what is said of them adds up.
    pub fn knows(&self, sign: &str) -> bool {
        self.0.iter().flat_map(|layer| &layer.signs).any(|&known| SIGNS[known].0 == sign)
    }
}

/// A text as TOML has it, which escapes as JSON does.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

pub fn one_or_several<T: AsRef<str>>(texts: &[T]) -> String {
    if let [only] = texts { quoted(only.as_ref()) } else { list(texts) }
}
