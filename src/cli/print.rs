//! Print: reports and numbers for people.

use crate::cli::say;
use crate::sink::marts::summary::Revenue;
use crate::sync::report::{FileReport, Outcome};
use rust_decimal::Decimal;

/// What numbers of rows count from.
pub(super) const ROW_1_IS: &str = "the first after the header";

/// A number with a comma between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

/// A number and its noun; `what` is the noun in the singular.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {}", grouped(number), plural(number, what))
}

/// The noun for a number; `what` is the singular.
pub(super) fn plural(number: u64, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{what}{end}")
}

pub(super) fn print_report(report: &FileReport) {
    let dataset = report.dataset.as_deref().unwrap_or("-");
    let name = &report.name;
    let reason = report.error.as_deref().unwrap_or("no reason is known");
    let end = match report.outcome {
        Outcome::Synced => {
            let warning = report.warning.as_ref().map(|warning| format!("  warning: {warning}"));
            let note = report.error.as_ref().map(|note| format!("  {note}"));
            format!("{}{}{}", counts(report), warning.unwrap_or_default(), note.unwrap_or_default())
        }
        Outcome::Held => format!("{}  held: {reason}", counts(report)),
        Outcome::Unchanged => "unchanged".to_owned(),
        outcome => format!("{}: {reason}", format!("{outcome:?}").to_lowercase()),
    };
    say(format_args!("{dataset:<11} {name:<42}  {end}"));
}

/// What became of a file's rows, and how long it took.
fn counts(report: &FileReport) -> String {
    let counts = &report.counts;
    format!(
        "+{} ~{} −{} ={} !{}  {:.1} s{}{}{}",
        grouped(counts.new),
        grouped(counts.modified),
        grouped(counts.deleted),
        grouped(counts.unchanged),
        grouped(counts.rejected),
        report.elapsed_ms as f64 / 1000.0,
        rescued(counts.rescued),
        stale(counts.stale),
        disagreeing(report.records_disagreeing)
    )
}

/// Number of records whose rows disagree on what belongs to the record; empty if there are none.
fn disagreeing(records: u64) -> String {
    match records {
        0 => String::new(),
        1 => "  rows of 1 record disagree".to_owned(),
        records => format!("  rows of {} records disagree", grouped(records)),
    }
}

/// Number of rows with a value that does not fit its column; empty if there are none.
pub(super) fn rescued(rows: u64) -> String {
    if rows == 0 { String::new() } else { format!("  ?{}", grouped(rows)) }
}

/// Number of table rows that lost to a newer file; empty if there are none.
pub(super) fn stale(rows: u64) -> String {
    if rows == 0 { String::new() } else { format!("  <{}", grouped(rows)) }
}

pub(super) fn print_summary(revenues: &[Revenue]) {
    for revenue in revenues {
        say(format_args!(
            "\nmarket {}: {} {} from {}; top customers",
            revenue.market,
            money(revenue.total_amount),
            revenue.currency_symbol,
            counted(u64::try_from(revenue.orders_count).unwrap_or(0), "order")
        ));
        for customer in &revenue.top_customers {
            say(format_args!(
                "  {:<12} {:>16} {}  {:>4} {}",
                customer.customer_id,
                money(customer.total_amount),
                revenue.currency_symbol,
                customer.orders_count,
                plural(customer.orders_count.unsigned_abs(), "order")
            ));
        }
    }
}

fn money(amount: Decimal) -> String {
    let text = format!("{:.2}", amount.round_dp(2));
    let (whole, cents) = text.split_once('.').unwrap_or((&text, "00"));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    format!("{sign}{}.{cents}", grouped(digits.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_grouped() {
        assert_eq!(money("31539596.44".parse().expect("a decimal")), "31,539,596.44");
        assert_eq!(money("-1234.5".parse().expect("a decimal")), "-1,234.50");
    }

    #[test]
    fn numbers_are_grouped_and_one_is_no_more_than_one() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(15_690), "15,690");
        assert_eq!(
            (counted(1, "row"), counted(2, "row"), counted(0, "row")),
            ("1 row".into(), "2 rows".into(), "0 rows".into())
        );
    }
}
