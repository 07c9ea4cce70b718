//! Alarms: what a finished file says of the rules of its dataset, and of those that refer to its
//! tables.

use crate::error::SyncError;
use crate::feed::dataset::{Dataset, Owner};
use crate::feed::declaration::OnViolation;
use crate::feed::layout::declared_name;
use crate::feed::rules::{BrokenRule, FirstRow, Rule};
use crate::sink::ledger::alarms::{AlarmCheck, AlarmChecks, AlarmKind, Answer, Cause};
use crate::sink::ledger::files::FileRecord;
use crate::sink::tables::stored_rules::{COUNTED_MAX, StoredColumn, StoredValues};
use crate::sync::session::Session;
use crate::transform::faults::{Faults, excerpt};
use serde_json::json;
use std::sync::Arc;

/// Columns that the message of one alarm names.
const COLUMNS_SHOWN_MAX: usize = 10;

/// Asks everything that the alarms of a file's market need to know of it, and returns how often
/// each rule is broken.
pub(crate) async fn check_rules(
    session: &Session,
    file: &FileRecord,
    dataset: &Arc<Dataset>,
    faults: &Faults,
) -> Result<(AlarmChecks, Vec<BrokenRule>), SyncError> {
    let market = file.market.clone().unwrap_or_default();
    let mut rules = faults.by_rule(dataset);
    let mut checks: Vec<AlarmCheck> = rules
        .iter()
        .filter(|rule| rule.on_violation == OnViolation::Warn && rule.rule != Rule::Unique)
        .map(|rule| of_file(dataset, rule))
        .collect();
    for (of, column, rule) in stored_rules(session, dataset, &market) {
        let Some(values) = stored_values(session, &of, &column, rule, &market).await else {
            checks.push(check(&of, &column, rule, true, Answer::Unknown));
            continue;
        };
        checks.push(of_tables(&of, &column, rule, &values));
        if of.name == dataset.name {
            rules.retain(|known| {
                (&known.column, known.rule) != (&column, rule)
                    || known.on_violation != OnViolation::Warn
            });
            rules.push(BrokenRule {
                on_violation: OnViolation::Warn,
                violations: values.number,
                first: values
                    .first
                    .iter()
                    .map(|value| FirstRow { row: None, value: Some(excerpt(value)) })
                    .collect(),
                column,
                rule,
            });
        }
    }
    checks.push(of_rescued(dataset, file, faults));
    let kinds = vec![AlarmKind::RuleBroken, AlarmKind::ValuesRescued];
    let checks = AlarmChecks {
        market,
        checks,
        complete: Some((dataset.name.clone(), kinds)),
        is_part: file.corrects.is_some(),
    };
    Ok((checks, rules))
}

/// The rules that stored rows decide, which this file may have changed: of its own dataset, and of
/// those that refer to a table that it writes to.
fn stored_rules(
    session: &Session,
    dataset: &Arc<Dataset>,
    market: &str,
) -> Vec<(Arc<Dataset>, String, Rule)> {
    let others = session
        .config
        .datasets
        .iter()
        .filter(|other| other.name != dataset.name && !other.is_template());
    let others = others.map(|other| other.of_market(market));
    let mut found = Vec::new();
    for of in [Arc::clone(dataset)].into_iter().chain(others) {
        let is_own = of.name == dataset.name;
        for column in of.ruled_columns() {
            let shares_table =
                of.table_of(of.owner(&column.name)) == dataset.table_of(of.owner(&column.name));
            if column.rules.unique && (is_own || shares_table) {
                found.push((Arc::clone(&of), column.name.clone(), Rule::Unique));
            }
            let refers = column.rules.references.as_ref().is_some_and(|(table, _)| {
                [Owner::Record, Owner::Line].iter().any(|owner| dataset.table_of(*owner) == table)
            });
            if column.rules.references.is_some() && (is_own || refers) {
                found.push((Arc::clone(&of), column.name.clone(), Rule::References));
            }
        }
    }
    found
}

/// The stored values that break a rule. `None` if the database does not say so in its time: then
/// the alarm stays as it is, and the file is not held up by it.
async fn stored_values(
    session: &Session,
    of: &Arc<Dataset>,
    column: &str,
    rule: Rule,
    market: &str,
) -> Option<StoredValues> {
    let shapes = session.sink.tables.shapes();
    let has_column =
        |table: &&str| shapes.get(*table).is_some_and(|shape| shape.column(column).is_some());
    // A column of JSON objects goes by where it stands in them, if nothing is declared.
    let tables = [of.owner(column), Owner::Record, Owner::Line].map(|owner| of.table_of(owner));
    let table = if of.key.contains(column) {
        Some(&*of.table)
    } else {
        tables.into_iter().find(has_column)
    };
    // Nothing was stored in it yet.
    let Some(table) = table else { return Some(StoredValues::default()) };
    let own = StoredColumn {
        dataset: of,
        table,
        column,
        market,
        is_shared: !session.config.others_of_table(of).is_empty(),
    };
    let tables = &session.sink.tables;
    let references = of.column(column).and_then(|declared| declared.rules.references.as_ref());
    let values = match (rule, references) {
        (Rule::References, Some((table, other))) => {
            tables.missing_references(own, (table, &declared_name(other))).await
        }
        _ => tables.repeated_values(own).await,
    };
    values
        .inspect_err(|error| {
            let (dataset, rule) = (&of.name, rule.name());
            tracing::warn!(
                dataset,
                market,
                column,
                rule,
                "a rule could not be asked of the tables: {error}"
            );
        })
        .ok()
}

/// The alarm of a rule that a file's own rows may break.
fn of_file(dataset: &Dataset, rule: &BrokenRule) -> AlarmCheck {
    let first: Vec<String> = rule.first.iter().map(FirstRow::text).collect();
    let (column, number) = (&rule.column, rule.violations);
    let cause = Cause {
        message: format!(
            "{column} breaks {} {number} times, the first in {}",
            rule.rule.name(),
            first.join(", ")
        ),
        evidence: json!({ "violations": number, "first": rule.first }),
        is_vague: false,
    };
    check(dataset, column, rule.rule, false, answer(number, cause))
}

/// The alarm of a rule that stored rows may break.
fn of_tables(dataset: &Dataset, column: &str, rule: Rule, values: &StoredValues) -> AlarmCheck {
    let first: Vec<String> =
        values.first.iter().map(|value| format!("`{}`", excerpt(value))).collect();
    let number = match values.number {
        COUNTED_MAX => format!("at least {COUNTED_MAX}"),
        number => number.to_string(),
    };
    let references = dataset.column(column).and_then(|declared| declared.rules.references.as_ref());
    let what = match (rule, references) {
        (Rule::References, Some((table, other))) => {
            format!("{number} stored values of {column} are not in {table}.{other}")
        }
        _ => format!(
            "{number} stored values of {column} stand in several records, and it is declared unique"
        ),
    };
    let shown: Vec<String> = values.first.iter().map(|value| excerpt(value)).collect();
    let cause = Cause {
        message: format!("{what}, the first {}", first.join(", ")),
        evidence: json!({ "violations": values.number, "first": shown }),
        is_vague: false,
    };
    check(dataset, column, rule, true, answer(values.number, cause))
}

fn answer(number: u64, cause: Cause) -> Answer {
    if number > 0 { Answer::Found(cause) } else { Answer::Free }
}

fn check(
    dataset: &Dataset,
    column: &str,
    rule: Rule,
    is_of_tables: bool,
    answer: Answer,
) -> AlarmCheck {
    AlarmCheck {
        kind: AlarmKind::RuleBroken,
        dataset: dataset.name.clone(),
        subject: vec![("column", column.to_owned()), ("rule", rule.name().to_owned())],
        is_of_tables,
        answer,
    }
}

/// The alarm of values that do not fit their column.
fn of_rescued(dataset: &Dataset, file: &FileRecord, faults: &Faults) -> AlarmCheck {
    let columns = faults.rescued.iter();
    let counts: Vec<String> = columns
        .clone()
        .take(COLUMNS_SHOWN_MAX)
        .map(|(column, counted)| {
            let first: Vec<String> = counted.first.iter().map(FirstRow::text).collect();
            format!("{column} {}, the first in {}", counted.number, first.join(", "))
        })
        .collect();
    let rows = file.counts.rescued;
    // Unchanged records that were passed by are counted, and not read.
    let of_columns = if counts.is_empty() {
        "in records that did not change".to_owned()
    } else {
        counts.join("; ")
    };
    let columns = columns.map(|(column, counted)| {
        (column, json!({ "values": counted.number, "first": counted.first }))
    });
    let cause = Cause {
        message: format!("{rows} rows have a value that does not fit its column: {of_columns}"),
        evidence: json!({ "rows": rows, "columns": columns.collect::<std::collections::BTreeMap<_, _>>() }),
        is_vague: faults.rescued.is_empty(),
    };
    AlarmCheck {
        kind: AlarmKind::ValuesRescued,
        dataset: dataset.name.clone(),
        subject: Vec::new(),
        is_of_tables: false,
        answer: answer(rows, cause),
    }
}
