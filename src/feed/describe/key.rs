//! Key facts: which columns may identify a record, and which belong to a record rather than to its
//! lines.

use crate::feed::layout::column_name;
use crate::values::identifier::{visible, without_excel};
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

/// Columns that are asked whether they identify a record, alone or two together; the first ones
/// with a name for it. Each has a set of values while it may be unique.
const CANDIDATES_MAX: usize = 5;

/// Values that are kept of all candidates: 8 bytes each, of which a hash table may leave half
/// empty. A file with more is taken to go on as it began; that a key repeats, a sync tells.
const VALUES_MAX: usize = 4 << 20;

/// A record's column says the same in so many records of several rows before it is taken for one.
const REPEATS_MIN: u64 = 2;

/// Number of first columns that may be the key of records with lines, because exports begin with
/// it.
const LEADING_COLUMNS: usize = 3;

/// Rows from which on a first column without a name for it may be the key.
const ROWS_MIN: u64 = 20;

/// Longest key, in characters, of a column without a name for it.
const UNNAMED_CHARS_MAX: usize = 40;

/// Names of identifiers, whole or behind the last `_`, the best first.
const NAMES: [&str; 32] = [
    "id",
    "sku",
    "uuid",
    "guid",
    "number",
    "no",
    "nr",
    "num",
    "nummer",
    "code",
    "key",
    "ref",
    "reference",
    "ean",
    "gtin",
    "upc",
    "isbn",
    "barcode",
    "asin",
    "numero",
    "nummero",
    "belegnummer",
    "bestellnummer",
    "auftragsnummer",
    "artikelnummer",
    "rechnungsnummer",
    "kundennummer",
    "name",
    "email",
    "line",
    "position",
    "pos",
];

/// How many of [`NAMES`] may be a key only with another column, or as the first one.
const WEAK_NAMES: usize = 5;

/// Parts of names of what belongs to a line, whatever the rows of a file say.
const OF_LINES: [&str; 18] = [
    "asin", "line", "item", "sku", "product", "qty", "quantity", "menge", "artikel", "variant",
    "unit", "price", "preis", "position", "anzahl", "cost", "produkt", "gtin",
];

/// What may identify a record.
#[derive(Debug, Default)]
pub struct KeyFacts {
    candidates: Vec<Candidate>,
    pairs: Vec<Pair>,
    names: Vec<String>,
    values: usize,
    rows: u64,
}

#[derive(Debug)]
struct Candidate {
    column: usize,
    /// How good its name is, 0 the best; `None` for a first column with any name.
    rank: Option<usize>,
    unique: Unique,
    chars_max: usize,
    runs: Runs,
}

#[derive(Debug)]
struct Pair {
    candidates: [usize; 2],
    unique: Unique,
}

/// Whether values are all there and each once, in each file.
#[derive(Debug, Default)]
struct Unique {
    seen: HashSet<u64>,
    is_repeated: bool,
    has_gap: bool,
}

/// Rows one after the other with the same value.
#[derive(Debug, Default)]
struct Runs {
    value: Option<u64>,
    /// Values whose run is over.
    ended: HashSet<u64>,
    /// Whether a value comes again later.
    is_scattered: bool,
    /// Of each column what its first row in the run has.
    first: Vec<Option<u64>>,
    rows: u64,
    columns: Vec<InRuns>,
}

/// What the rows of the runs of a column say.
#[derive(Clone, Copy, Debug, Default)]
struct InRuns {
    /// Rows of one run differ.
    differs: bool,
    /// Further rows that repeat the first one, or leave the value to it.
    repeats: u64,
}

/// What identifies a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundKey {
    /// Its columns; none, each distinct row is a record.
    pub columns: Vec<usize>,
    /// Columns that belong to the record, where it has several rows; the others are those of its
    /// lines.
    pub record_columns: Option<Vec<usize>>,
    /// Whether only rows, and no name, say so.
    pub is_guess: bool,
}

impl KeyFacts {
    /// A column of the file.
    pub(super) fn add_column(&mut self, column: usize, raw_name: &str) {
        let name = column_name(raw_name);
        let rank = rank(&name);
        self.names.push(name);
        if self.candidates.len() >= CANDIDATES_MAX || (rank.is_none() && column > 0) {
            return;
        }
        let own = self.candidates.len();
        let others =
            (0..own).map(|other| Pair { candidates: [other, own], unique: Unique::default() });
        self.pairs.extend(others);
        let (unique, runs) = (Unique::default(), Runs::default());
        // A column that objects bring later has a gap in those before.
        let unique = Unique { has_gap: self.rows > 0, ..unique };
        self.candidates.push(Candidate { column, rank, unique, chars_max: 0, runs });
    }

    /// Begins another file; its records may be the same.
    pub(super) fn begin_file(&mut self) {
        self.values = 0;
        let pairs = self.pairs.iter_mut().map(|pair| &mut pair.unique);
        let all = self.candidates.iter_mut().map(|candidate| &mut candidate.unique).chain(pairs);
        all.for_each(|unique| unique.seen.clear());
        for Candidate { runs, .. } in &mut self.candidates {
            runs.ended.clear();
            runs.value = None;
        }
    }

    /// Takes a row into account; a cell without a value is `None`.
    pub(super) fn observe_row(&mut self, row: &[Option<&str>]) {
        self.rows += 1;
        let keys: Vec<Option<u64>> =
            self.candidates.iter().map(|own| row[own.column].and_then(key_hash)).collect();
        let has_room = self.values < VALUES_MAX;
        for (own, &key) in self.candidates.iter_mut().zip(&keys) {
            own.chars_max =
                own.chars_max.max(row[own.column].map_or(0, |text| text.trim().chars().count()));
            self.values += own.unique.observe(key, has_room);
            self.values += own.runs.observe(key, row, has_room);
        }
        for pair in &mut self.pairs {
            let [one, other] = pair.candidates.map(|candidate| keys[candidate]);
            let both = one
                .zip(other)
                .map(|(one, other)| xxh3_64(&[one.to_le_bytes(), other.to_le_bytes()].concat()));
            self.values += pair.unique.observe(both, has_room);
        }
    }

    /// The columns that identify a record, as far as names and rows show it.
    pub fn found(&self) -> FoundKey {
        let is_key = |own: &&Candidate| own.is_key(self.rows) && !self.is_of_line_of_another(own);
        let single = self.candidates.iter().filter(is_key).min_by_key(|own| own.order());
        if let Some(own) = single {
            return FoundKey {
                columns: vec![own.column],
                is_guess: own.is_weak(),
                record_columns: None,
            };
        }
        if let Some(found) = self.candidates.iter().find_map(|own| self.with_lines(own)) {
            return found;
        }
        let is_key = |pair: &&Pair| {
            let both = pair.candidates.map(|candidate| &self.candidates[candidate]);
            pair.unique.is_key(self.rows) && both.iter().all(|own| own.rank.is_some())
        };
        match self.pairs.iter().find(is_key) {
            Some(pair) => {
                let columns =
                    pair.candidates.map(|candidate| self.candidates[candidate].column).to_vec();
                FoundKey { columns, is_guess: true, record_columns: None }
            }
            None => FoundKey::default(),
        }
    }

    /// Whether a unique value is that of a line by its name, and an identifier before it comes
    /// again.
    fn is_of_line_of_another(&self, own: &Candidate) -> bool {
        let says_line = OF_LINES.iter().any(|part| self.names[own.column].contains(part));
        let is_other = |other: &Candidate| {
            other.column < own.column && !other.is_weak() && other.unique.is_repeated
                || (other.column == 0 && own.column > 0 && other.unique.is_repeated)
        };
        says_line && self.candidates.iter().any(is_other)
    }

    /// The result if a column is the key of records with lines, whatever else may be the key.
    pub fn alternative(&self) -> Option<FoundKey> {
        self.candidates.iter().find_map(|own| self.with_lines(own))
    }

    /// Columns that would be the key if no value were missing or repeated, for a comment.
    pub fn nearest(&self) -> Option<usize> {
        self.candidates
            .iter()
            .find(|own| own.rank.is_some_and(|rank| rank < NAMES.len() - WEAK_NAMES))
            .map(|own| own.column)
    }

    fn with_lines(&self, own: &Candidate) -> Option<FoundKey> {
        let is_leading = own.column < LEADING_COLUMNS
            && (own.column == 0 || !own.is_weak())
            && own.rank.is_some();
        let runs = &own.runs;
        if !is_leading || own.unique.has_gap || runs.is_scattered || !own.unique.is_repeated {
            return None;
        }
        let is_of_record = |&column: &usize| {
            let in_runs = runs.columns.get(column).copied().unwrap_or_default();
            let says_line = OF_LINES.iter().any(|part| self.names[column].contains(part));
            column != own.column && !says_line && !in_runs.differs && in_runs.repeats >= REPEATS_MIN
        };
        let record_columns: Vec<usize> = (0..self.names.len()).filter(is_of_record).collect();
        let has_lines = record_columns.len() + 1 < self.names.len();
        (!record_columns.is_empty() && has_lines).then(|| FoundKey {
            columns: vec![own.column],
            is_guess: true,
            record_columns: Some(record_columns),
        })
    }
}

impl Candidate {
    fn is_key(&self, rows: u64) -> bool {
        let is_meant = match self.rank {
            None => rows >= ROWS_MIN && self.chars_max <= UNNAMED_CHARS_MAX,
            Some(rank) => rank < NAMES.len() - WEAK_NAMES || self.column == 0,
        };
        is_meant && self.unique.is_key(rows)
    }

    const fn is_weak(&self) -> bool {
        match self.rank {
            None => true,
            Some(rank) => rank >= NAMES.len() - WEAK_NAMES,
        }
    }

    /// The first column comes first, then those with the best names.
    fn order(&self) -> (bool, usize, usize) {
        (self.column > 0 || self.is_weak(), self.rank.unwrap_or(NAMES.len()), self.column)
    }
}

impl Unique {
    /// Takes the value of a row into account, and says how many more are kept.
    fn observe(&mut self, value: Option<u64>, has_room: bool) -> usize {
        let Some(value) = value else {
            self.has_gap = true;
            self.seen = HashSet::new();
            return 0;
        };
        if self.is_repeated || self.has_gap || !has_room {
            self.is_repeated |= self.seen.contains(&value);
            return 0;
        }
        if !self.seen.insert(value) {
            self.is_repeated = true;
            self.seen = HashSet::new();
            return 0;
        }
        1
    }

    const fn is_key(&self, rows: u64) -> bool {
        rows > 0 && !self.is_repeated && !self.has_gap
    }
}

impl Runs {
    fn observe(&mut self, value: Option<u64>, row: &[Option<&str>], has_room: bool) -> usize {
        if self.is_scattered {
            return 0;
        }
        self.columns.resize(row.len().max(self.columns.len()), InRuns::default());
        let hash = |cell: &Option<&str>| cell.map(|text| xxh3_64(text.trim().as_bytes()));
        if value.is_some() && value == self.value {
            self.rows += 1;
            for (column, (own, cell)) in self.columns.iter_mut().zip(row).enumerate() {
                let first = self.first.get(column).copied().flatten();
                match hash(cell) {
                    None => own.repeats += u64::from(first.is_some()),
                    again if again == first => own.repeats += 1,
                    Some(_) => own.differs = true,
                }
            }
            return 0;
        }
        let ended = std::mem::replace(&mut self.value, value);
        self.first = row.iter().map(hash).collect();
        self.rows = 1;
        let is_kept = has_room && ended.is_some_and(|ended| self.ended.insert(ended));
        if value.is_some_and(|value| self.ended.contains(&value)) {
            self.is_scattered = true;
            *self = Self { is_scattered: true, ..Self::default() };
        }
        usize::from(is_kept)
    }
}

/// What a key's cell says to the key; `None` for nothing.
fn key_hash(text: &str) -> Option<u64> {
    let key = without_excel(visible(text));
    (!key.is_empty()).then(|| xxh3_64(key.as_bytes()))
}

/// How good a name is for an identifier, 0 the best.
fn rank(name: &str) -> Option<usize> {
    let last = name.rsplit('_').next().unwrap_or(name);
    NAMES.iter().position(|known| *known == last || *known == name)
}

/// Whether a column of that name holds identifiers, which are no numbers whatever they look like.
pub fn is_identifier_name(name: &str) -> bool {
    const PARTS: [&str; 20] = [
        "id",
        "sku",
        "ean",
        "gtin",
        "upc",
        "isbn",
        "barcode",
        "asin",
        "zip",
        "zipcode",
        "postcode",
        "postal",
        "plz",
        "postleitzahl",
        "phone",
        "telefon",
        "mobile",
        "iban",
        "uuid",
        "vat",
    ];
    const LAST_PARTS: [&str; 8] =
        ["number", "nummer", "no", "nr", "code", "ref", "reference", "key"];
    let last = name.rsplit('_').next().unwrap_or(name);
    name.split('_').any(|part| PARTS.contains(&part)) || LAST_PARTS.contains(&last)
}

/// Whether a column of that name holds amounts, which have decimals sooner or later.
pub fn is_amount_name(name: &str) -> bool {
    const PARTS: [&str; 25] = [
        "price", "total", "subtotal", "amount", "tax", "taxes", "cost", "fee", "fees", "charge",
        "charges", "discount", "shipping", "revenue", "balance", "paid", "refunded", "tip", "net",
        "gross", "betrag", "preis", "summe", "umsatz", "weight",
    ];
    name.split('_').any(|part| PARTS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], rows: &[&[&str]]) -> FoundKey {
        let mut facts = KeyFacts::default();
        names.iter().enumerate().for_each(|(column, name)| facts.add_column(column, name));
        for row in rows {
            let row: Vec<Option<&str>> =
                row.iter().map(|text| (!text.is_empty()).then_some(*text)).collect();
            facts.observe_row(&row);
        }
        facts.found()
    }

    #[test]
    fn a_unique_identifier_is_the_key() {
        let rows: &[&[&str]] = &[&["x", "A1"], &["y", "A2"]];
        assert_eq!(found(&["title", "SKU"], rows).columns, [1]);
        assert_eq!(found(&["title", "price"], rows).columns, [0; 0]);
        assert_eq!(found(&["title", "SKU"], &[&["x", "A1"], &["y", "A1"]]).columns, [0; 0]);
        assert_eq!(found(&["title", "SKU"], &[&["x", "A1"], &["y", ""]]).columns, [0; 0]);
        assert_eq!(
            found(&["a_id", "b_id"], &[&["1", "1"], &["1", "2"], &["2", "1"]]).columns,
            [0, 1]
        );
    }

    #[test]
    fn rows_of_one_record_say_what_is_the_records() {
        let names = ["order_id", "customer", "title", "amount", "total"];
        let rows: &[&[&str]] = &[
            &["1", "Ute", "a", "1", "9"],
            &["1", "Ute", "b", "2", ""],
            &["2", "Otto", "a", "1", "7"],
            &["2", "Otto", "c", "5", ""],
        ];
        let key = found(&names, rows);
        assert_eq!((key.columns, key.record_columns), (vec![0], Some(vec![1, 4])));
        let apart: &[&[&str]] = &[rows[0], rows[2], rows[1]];
        assert_eq!(found(&names, apart), FoundKey::default());
    }
}
