//! Decimals: which sign stands before the decimals of each column of a file. A declaration decides,
//! or the proofs of earlier files, or the file's own values. Without any of these, nothing is
//! guessed.

use crate::feed::dataset::Dataset;
use crate::feed::inference::{Evidence, Inference};
use crate::feed::layout::{Layout, LayoutColumn};
use crate::feed::number_form::NumberForm;
use crate::values::number::{DecimalSign, Decimals};
use serde::{Deserialize, Serialize};

/// What the values of one column show, while a file is looked at.
#[derive(Clone, Debug)]
pub struct Observer {
    /// Its index among all columns of the layout.
    pub column: usize,
    /// Its kind, if the data decides it.
    pub inference: Option<Inference>,
    /// How its numbers are written.
    pub evidence: Evidence,
    /// Number of JSON numbers with decimals. In a file full of them, one text with a comma is no
    /// sign of another export.
    json_decimals: u64,
}

impl Observer {
    /// Of a column that holds numbers, or may.
    pub fn of(column: usize, layout_column: &LayoutColumn) -> Option<Self> {
        let inference = layout_column.inference();
        let is_wanted = inference.is_some() || layout_column.holds_numbers();
        is_wanted.then(|| Self {
            column,
            inference,
            evidence: Evidence::default(),
            json_decimals: 0,
        })
    }

    /// The same of a column whose index was not known before.
    #[must_use]
    pub fn of_column(self, column: usize) -> Self {
        Self { column, ..self }
    }

    /// Takes a value into account that is not a null token. Only a row that fits as it is proves
    /// anything.
    pub fn observe(
        &mut self,
        value: &str,
        is_json_number: bool,
        is_proof: bool,
        column: &LayoutColumn,
    ) {
        // JSON numbers are clear by themselves, and prove nothing about texts.
        self.json_decimals += u64::from(is_json_number && value.contains('.'));
        if is_proof && !is_json_number && self.inference.as_ref().is_none_or(Inference::is_numeric)
        {
            self.evidence.observe(value, &column.rules);
        }
        if let Some(inference) = &mut self.inference {
            inference.observe(value, is_json_number);
        }
    }

    /// Takes into account that its values are texts, because their file says so. Returns whether
    /// that decides what the column holds: not if a table has it already.
    pub fn observe_text(&mut self) -> bool {
        self.inference.as_mut().is_some_and(Inference::observe_text)
    }

    /// Whether its values count as numbers. An undeclared column with a single word proves nothing.
    fn is_witness(&self) -> bool {
        self.inference.as_ref().is_none_or(Inference::has_numbers)
    }

    /// What its values prove.
    fn proof(&self) -> Proof {
        let counts = [DecimalSign::Point, DecimalSign::Comma].map(|sign| self.evidence.count(sign));
        match counts {
            _ if !self.is_witness() => Proof::Nothing,
            [0, 0] => Proof::Nothing,
            [_, 0] => Proof::Of(DecimalSign::Point),
            [0, _] => Proof::Of(DecimalSign::Comma),
            _ => Proof::OfBoth,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Nothing,
    Of(DecimalSign),
    OfBoth,
}

impl Proof {
    const fn includes(self, sign: DecimalSign) -> bool {
        match self {
            Self::Nothing => false,
            Self::Of(DecimalSign::Point) => matches!(sign, DecimalSign::Point),
            Self::Of(DecimalSign::Comma) => matches!(sign, DecimalSign::Comma),
            Self::OfBoth => true,
        }
    }
}

/// How the numbers of a file are read; kept with its survey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberReadings {
    /// Of each column how `.` and `,` are read.
    pub decimals: Vec<Decimals>,
    /// Columns with two currencies; all of their amounts are rescued.
    pub two_currencies: Vec<usize>,
    /// Whether only this file says how some of its values are read: the same text may mean
    /// something else in the next one.
    pub is_of_file: bool,
    /// What the file is the first to prove, by column.
    #[serde(skip)]
    pub proved: Vec<(String, NumberForm)>,
    /// The contradiction to the expected sign, if there is one.
    #[serde(skip)]
    pub contradiction: Option<Contradiction>,
}

/// Values that prove another sign than the one by which their columns are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Number of values that prove the expected sign, and of those that prove the other.
    pub counts: [u64; 2],
    /// The sign that is expected of most of them.
    pub expected: DecimalSign,
    /// The file that proved it; `None` where it is declared.
    pub proved_by: Option<i64>,
    /// A column and value that prove the other.
    pub example: (String, String),
    /// The name of that column, where it took its sign from other columns of the earlier file.
    pub taken_by: Option<String>,
}

impl NumberReadings {
    /// Gives the columns of a layout their readings.
    pub fn apply(&self, layout: &mut Layout) {
        for (column, decimals) in layout.all_mut().zip(&self.decimals) {
            column.rules.decimals = *decimals;
        }
        for &column in self.two_currencies.iter().filter(|column| **column < self.decimals.len()) {
            layout.at_mut(column).has_two_currencies = true;
        }
    }
}

/// Decides how every column is read, and what it holds.
pub fn settle(
    layout: &mut Layout,
    observers: &[Observer],
    delimiter: Option<u8>,
    dataset: &Dataset,
) -> NumberReadings {
    let is_settled =
        |observer: &&Observer| layout.at(observer.column).rules.decimals != Decimals::Either;
    let (known, unknown): (Vec<&Observer>, Vec<&Observer>) = observers.iter().partition(is_settled);
    let earlier = known
        .iter()
        .filter_map(|observer| dataset.number_form(&layout.at(observer.column).name)?.decimal);
    let earlier: Vec<Proof> = earlier.map(Proof::Of).collect();
    let own: Vec<Proof> = unknown.iter().map(|observer| observer.proof()).collect();
    let by_others = |index: usize, sign: DecimalSign| {
        let others =
            own.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, proof)| proof);
        others.chain(&earlier).any(|proof| proof.includes(sign))
    };
    let mut readings = NumberReadings {
        contradiction: contradiction(observers, layout, dataset),
        decimals: layout.all().map(|column| column.rules.decimals).collect(),
        ..NumberReadings::default()
    };
    for (index, (observer, proof)) in unknown.iter().zip(&own).enumerate() {
        let [point, comma] =
            [DecimalSign::Point, DecimalSign::Comma].map(|sign| by_others(index, sign));
        let taken = dataset.number_form(&layout.at(observer.column).name);
        let taken = taken.and_then(|form| form.taken);
        readings.decimals[observer.column] = match (taken, proof) {
            // Stored numbers were read by the sign that it took once.
            (Some(taken), Proof::Of(sign)) if taken == *sign => taken.into(),
            (Some(DecimalSign::Point), _) => Decimals::PointOnly,
            (Some(DecimalSign::Comma), _) => Decimals::Comma,
            (None, Proof::Of(DecimalSign::Comma)) if delimiter == Some(b',') && point => {
                Decimals::Neither
            }
            (None, Proof::Of(sign)) => (*sign).into(),
            (None, Proof::OfBoth) => Decimals::Neither,
            (None, Proof::Nothing) if point && !comma => Decimals::PointOnly,
            (None, Proof::Nothing) if comma && !point => Decimals::Comma,
            (None, Proof::Nothing) => Decimals::Open,
        };
    }
    // A column without values is read as the others are, in case rows of other files have some.
    for decimals in readings.decimals.iter_mut().filter(|decimals| **decimals == Decimals::Either) {
        *decimals = Decimals::Open;
    }
    for observer in observers {
        let column = layout.at_mut(observer.column);
        let decimals = readings.decimals[observer.column];
        if let Some(inference) = &observer.inference {
            column.kind = inference.kind(decimals);
        }
        if observer.inference.is_none() && observer.evidence.has_two_currencies {
            readings.two_currencies.push(observer.column);
        }
        readings.proved.extend(newly_proved(observer, column, decimals, dataset));
    }
    let is_undecided = |observer: &&&Observer| match readings.decimals[observer.column] {
        Decimals::Point | Decimals::Comma => observer.proof() == Proof::Nothing,
        _ => true,
    };
    readings.is_of_file =
        unknown.iter().filter(is_undecided).any(|observer| observer.evidence.has_separators);
    let symbol = layout.all().any(LayoutColumn::is_currency_symbol);
    if symbol {
        // Each row itself says which currency is right.
        readings.two_currencies.clear();
    }
    readings.is_of_file |= !readings.two_currencies.is_empty();
    readings.apply(layout);
    readings
}

/// What a column shows that no earlier file has shown.
fn newly_proved(
    observer: &Observer,
    column: &LayoutColumn,
    decimals: Decimals,
    dataset: &Dataset,
) -> Option<(String, NumberForm)> {
    if !column.holds_numbers() {
        return None;
    }
    let known = dataset.number_form(&column.name);
    let is_open = dataset.declared_decimal(&column.name).is_none()
        && known.is_none_or(|form| form.decimal.is_none());
    let proof = observer.proof();
    let decimal = match proof {
        Proof::Of(sign) if is_open && decimals == sign.into() => Some(sign),
        _ => None,
    };
    // What other columns prove holds for this one from the first number on that is read by it.
    let taken = match decimals {
        Decimals::PointOnly => Some(DecimalSign::Point),
        Decimals::Comma => Some(DecimalSign::Comma),
        _ => None,
    };
    let taken = taken.filter(|sign| {
        is_open
            && proof == Proof::Nothing
            && known.is_none_or(|form| form.taken.is_none())
            && observer.evidence.is_read_by(*sign)
    });
    let currency = observer.inference.as_ref().and_then(Inference::currency).map(str::to_owned);
    let currency = currency.filter(|_| known.is_none_or(|form| form.currency.is_none()));
    (decimal.is_some() || taken.is_some() || currency.is_some())
        .then(|| (column.name.clone(), NumberForm { decimal, taken, currency, file_id: 0 }))
}

/// Whether more values prove another sign than the one by which their columns are read: of all
/// columns whose sign is known, or of one that took its sign from others. That one has no value of
/// its own for its sign, so the values of other columns don't speak for it.
fn contradiction(
    observers: &[Observer],
    layout: &Layout,
    dataset: &Dataset,
) -> Option<Contradiction> {
    let mut counts = [0, 0];
    let mut worst: Option<((bool, u64), Contradiction)> = None;
    for observer in observers.iter().filter(|observer| observer.is_witness()) {
        let column = layout.at(observer.column);
        let form = dataset.number_form(&column.name);
        let (expected, is_taken) = match (column.rules.decimals, form.and_then(|form| form.taken)) {
            (Decimals::Point, _) => (DecimalSign::Point, false),
            (Decimals::Comma, _) => (DecimalSign::Comma, false),
            (Decimals::Either, Some(taken)) => (taken, true),
            _ => continue,
        };
        let own = observer.evidence.count(expected) + observer.json_decimals;
        let against = observer.evidence.count(expected.other());
        counts[0] += own;
        counts[1] += against;
        let Some(value) = observer.evidence.first(expected.other()) else { continue };
        let rank = (is_taken && against > own, against);
        if worst.as_ref().is_none_or(|(most, _)| rank > *most) {
            let is_declared = dataset.declared_decimal(&column.name).is_some();
            let proved_by = form.filter(|_| !is_declared).map(|form| form.file_id);
            let example = (column.raw_name.clone(), value.to_owned());
            let taken_by = is_taken.then(|| column.name.clone());
            worst = Some((rank, Contradiction { counts, expected, proved_by, example, taken_by }));
        }
    }
    let is_most = counts[1] > counts[0];
    let (_, contradiction) = worst.filter(|((is_changed, _), _)| is_most || *is_changed)?;
    Some(Contradiction { counts, ..contradiction })
}
