//! Columns: what is said of each column, from what its cells show and from what a sync would find
//! in them.

use crate::feed::declaration::{ColumnType, Owner};
use crate::feed::describe::dates::{DatesProof, shown};
use crate::feed::describe::draft::{DraftColumn, excerpt};
use crate::feed::describe::facts::ColumnFacts;
use crate::feed::describe::key::{is_amount_name, is_identifier_name};
use crate::values::moment::parse_day;
use crate::values::number::DecimalSign;
use entity::Kind;

/// Longest value, in characters, of a column that is taken for identifiers by its name.
const IDENTIFIER_CHARS: usize = 64;

/// What a sync would find in a column without a declaration.
#[derive(Clone, Debug, Default)]
pub struct FoundColumn {
    /// Name in the table.
    pub name: String,
    /// What it holds; `None` without values.
    pub kind: Option<Kind>,
    /// Whether a currency stands beside its numbers.
    pub has_currency: bool,
    /// What stands before its decimals, as its own values prove.
    pub sign: Option<DecimalSign>,
    /// Whether an earlier column of the file has the same name.
    pub is_named_by_another: bool,
    /// Its table, if records have lines.
    pub owner: Option<Owner>,
    /// Whether it is part of the key.
    pub is_key: bool,
}

/// What is said of a column. `sign` stands before decimals in the others.
pub fn draft_column(
    facts: &ColumnFacts,
    found: &FoundColumn,
    sign: Option<DecimalSign>,
) -> DraftColumn {
    let mut draft = DraftColumn {
        name: found.name.clone(),
        from: facts.raw_name.clone(),
        examples: facts.examples.clone(),
        values: facts.values,
        empty: facts.empty,
        of: found.owner.filter(|_| !found.is_key),
        is_named_by_another: found.is_named_by_another,
        is_key: found.is_key,
        ..DraftColumn::default()
    };
    if found.is_key {
        draft.proves.push("part of what identifies a record; it is kept as text".to_owned());
        return draft;
    }
    if facts.values == 0 {
        draft.open.push("it has no value yet, and takes its type from the first ones".to_owned());
        return draft;
    }
    if found.is_named_by_another {
        draft.open.push(format!(
            "an earlier column has the same name, so nothing can be said of this one: it becomes {}; rename it in the export",
            found.name
        ));
        return draft;
    }
    say_type(&mut draft, facts, found, sign);
    draft
}

fn say_type(
    draft: &mut DraftColumn,
    facts: &ColumnFacts,
    found: &FoundColumn,
    sign: Option<DecimalSign>,
) {
    let is_short = facts.chars_max <= IDENTIFIER_CHARS && facts.fits_identifier();
    let is_whole = matches!(found.kind, Some(Kind::Integer | Kind::Text | Kind::Identifier));
    if found.kind == Some(Kind::Identifier) && facts.fits_identifier() {
        return prove(
            draft,
            ColumnType::Identifier,
            "by its name it holds identifiers: text, never numbers",
        );
    }
    if is_short && facts.is_code() {
        return prove(
            draft,
            ColumnType::Identifier,
            "all values are digits, some behind a zero or plus: no numbers",
        );
    }
    if is_short && is_whole && facts.keeps_identifier() && is_identifier_name(&found.name) {
        return prove(
            draft,
            ColumnType::Identifier,
            "by its name it holds identifiers: text, never numbers",
        );
    }
    match found.kind {
        Some(Kind::Integer) => say_integer(draft, facts),
        Some(Kind::Decimal) => say_decimal(draft, found, sign),
        Some(Kind::Double) => {
            prove(draft, ColumnType::Double, "all values are numbers with many decimals");
        }
        Some(Kind::Day) => prove(draft, ColumnType::Date, "all values are ISO days"),
        Some(Kind::Time) => {
            prove(draft, ColumnType::Timestamp, "all values are ISO times");
            say_zone(draft, facts);
        }
        _ if facts.is_truth() => {
            prove(
                draft,
                ColumnType::Boolean,
                "all values say yes or no, which are stored as 1 and 0",
            );
        }
        _ => say_text(draft, facts),
    }
}

fn prove(draft: &mut DraftColumn, of_type: ColumnType, what: &str) {
    draft.of_type = Some(of_type);
    draft.proves.push(what.to_owned());
}

/// A column of whole numbers, unless it may have others in the next file.
fn say_integer(draft: &mut DraftColumn, facts: &ColumnFacts) {
    if facts.has_decimals {
        return prove(draft, ColumnType::Decimal, "all values are numbers");
    }
    if is_amount_name(&draft.name) {
        return prove(
            draft,
            ColumnType::Decimal,
            "all values are whole numbers, but by its name it may have others",
        );
    }
    prove(draft, ColumnType::Integer, "all values are whole numbers");
    let is_day = |example: &String| {
        let is_recent = example.starts_with("19") || example.starts_with("20");
        is_recent && example.len() == 8 && parse_day(example).is_some()
    };
    if !draft.examples.is_empty() && draft.examples.iter().all(is_day) {
        let example = &draft.examples[0];
        draft.open.push(format!(
            "{example} may be a number or a day: say type = \"date\" if it is a day"
        ));
    }
}

fn say_decimal(draft: &mut DraftColumn, found: &FoundColumn, sign: Option<DecimalSign>) {
    let of_type = if found.has_currency { ColumnType::Money } else { ColumnType::Decimal };
    let what = if found.has_currency {
        "all values are amounts in one currency"
    } else {
        "all values are numbers"
    };
    prove(draft, of_type, what);
    if found.sign.is_some() && found.sign != sign {
        draft.decimal = found.sign;
    }
}

/// What values leave open that may be numbers or days, and how to say it.
fn say_text(draft: &mut DraftColumn, facts: &ColumnFacts) {
    draft.of_type = Some(ColumnType::Text);
    match facts.dates.proof() {
        DatesProof::Way { word, are_days } if word != "iso" => {
            say_dates(draft, facts, word, are_days);
        }
        DatesProof::Open { words, example, are_days } => {
            let readings: Vec<String> =
                words.iter().filter_map(|word| shown(&example, word)).collect();
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            let of_type = if are_days { "date" } else { "timestamp" };
            let example = if example.is_empty() { facts.examples[0].clone() } else { example };
            let may_be =
                if readings.is_empty() { "several days".to_owned() } else { readings.join(" or ") };
            draft.open.push(format!(
                "{} may be {may_be}: say type = \"{of_type}\" and dates = {}",
                excerpt(&example),
                words.join(" or ")
            ));
        }
        _ if facts.is_numeric() => say_open_number(draft, facts),
        _ => {}
    }
}

fn say_dates(draft: &mut DraftColumn, facts: &ColumnFacts, word: String, are_days: bool) {
    let how = match word.as_str() {
        "dmy" => "the day before the month".to_owned(),
        "mdy" => "the month before the day".to_owned(),
        pattern => format!("written {pattern}"),
    };
    match are_days {
        true => prove(draft, ColumnType::Date, &format!("all values are days, {how}")),
        false => {
            prove(draft, ColumnType::Timestamp, &format!("all values are times, {how}"));
            say_zone(draft, facts);
        }
    }
    draft.dates = Some(word);
}

fn say_zone(draft: &mut DraftColumn, facts: &ColumnFacts) {
    if facts.dates.has_local_time {
        draft.open.push(
            "its times name no zone and count as UTC: say timezone = \"Europe/Berlin\", or where else they are from"
                .to_owned(),
        );
    }
}

fn say_open_number(draft: &mut DraftColumn, facts: &ColumnFacts) {
    let text = match &facts.open_number {
        Some(open) => {
            let [point, comma] = &open.readings;
            format!("{} may be {comma} or {point}: say decimal = \",\" or \".\" and type = \"decimal\"", open.text)
        }
        None => "its values are numbers, but not all in one way that keeps every digit; so they stay text".to_owned(),
    };
    draft.open.push(text);
}
