//! Tests of the survey: what is counted, and what columns hold.

use super::*;
use crate::config::{Config, Overrides};
use crate::source::seen_keys::key_hash;
use crate::source::text::read_text;
use crate::values::number::Decimals;
use std::io::Write;
use std::sync::Arc;

fn surveyed(text: &str) -> Result<(Survey, Layout), SyncError> {
    read("", text, |text, dataset, limits| survey(text, dataset, &Shapes::new(), limits))
}

/// What one look shows.
fn looked_at(settings: &str, text: &str) -> Result<(Survey, Layout), SyncError> {
    read(settings, text, |text, dataset, limits| {
        look(text, dataset, &Shapes::new(), limits, None, None, None)
            .map(|(survey, layout, _)| (survey, layout))
    })
}

fn read<T>(
    settings: &str,
    text: &str,
    reads: impl Fn(&Text, &Dataset, &Limits) -> Result<T, SyncError>,
) -> Result<T, SyncError> {
    let mut own = tempfile::NamedTempFile::new().expect("a temporary file");
    own.write_all(settings.as_bytes()).expect("it can be written");
    let overrides = Overrides { config: Some(own.path().to_owned()), ..Overrides::default() };
    let config = Config::load(&overrides).expect("a valid configuration");
    let orders = |dataset: &&Arc<Dataset>| dataset.name == "orders";
    let dataset = config.datasets.iter().find(orders).expect("it is shipped");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("orders.csv");
    std::fs::write(&path, text).expect("it can be written");
    let mut content = Content::open(directory.path(), &path, &config.limits)?;
    content.hash()?;
    let text = read_text(content, dataset, None, &config.limits, directory.path())?;
    reads(&text, dataset, &config.limits)
}

fn kind_of(layout: &Layout, name: &str) -> Option<Kind> {
    layout.all().find(|column| column.name == name).expect("the file has it").kind
}

#[test]
fn a_fault_counts_every_row_of_its_record_wherever_it_stands() {
    let rows = "1,a,1\n2,b,1\n1,c,1,too,many\n3,d,1\n1,e,1\n,f,1\n";
    let (survey, _) = surveyed(&format!("Order ID,SKU,Quantity\n{rows}")).expect("a sound file");
    assert_eq!((survey.rows_read, survey.rows_rejected), (6, 4));
    assert_eq!(survey.rows_of_unknown_records, 1);
    assert_eq!(survey.first_faults.iter().map(|fault| fault.number).collect::<Vec<_>>(), [3, 6]);
    let scattered = survey.scattered();
    let is_scattered = ["1", "2", "3"].map(|key| scattered.contains(key_hash(key)));
    assert_eq!(is_scattered, [true, false, false]);
}

#[test]
fn rows_that_fit_say_what_a_column_holds_and_that_says_whether_the_others_do() {
    // `note` is no column of the profile: its kind is found.
    let (survey, layout) = surveyed(
        "Order ID,Address,note\n1,Main Street 1,5\n2,\"Hill Road 2, left\",6\n3,Lake Lane 3, right,7\n",
    )
    .expect("a sound file");
    assert_eq!(kind_of(&layout, "note"), Some(Kind::Integer));
    assert!(survey.has_odd_rows);
}

#[test]
fn rows_that_do_not_fit_are_read_again_only_if_the_signs_of_numbers_matter() {
    let auto =
        "[datasets.orders]\ndecimal = 'auto'\ncolumns = { order_total = { type = 'money' } }\n";
    let are_open = |proof: &str, odd: &str| {
        let rows = format!("1,soap,{proof}\n2,rice, brown,{odd}\n");
        let text = format!("Order ID,Description,Order Total\n{rows}");
        let (survey, layout) = looked_at(auto, &text).expect("a sound file");
        assert!(survey.has_odd_rows);
        let total = layout.all().find(|column| column.name == "order_total").expect("it is there");
        (survey.are_odd_rows_open, total.rules.decimals)
    };
    for odd in ["2.50", "250", "KSh 2.5", "x"] {
        assert_eq!(are_open("3.42", odd), (false, Decimals::Point), "{odd}");
    }
    // Where a comma stands before decimals, points stand before groups of three.
    assert_eq!(are_open("\"3,42\"", "2.50"), (true, Decimals::Comma));
    assert_eq!(are_open("\"3,42\"", "2.500"), (false, Decimals::Comma));
    // Nothing proves either sign.
    assert_eq!(are_open("3", "2.500"), (true, Decimals::Open));
}

#[test]
fn values_that_do_not_fit_by_the_proved_sign_are_counted() {
    let auto =
        "[datasets.orders]\ndecimal = 'auto'\ncolumns = { order_total = { type = 'money' } }\n";
    let misfits = |rows: &[&str]| {
        let rows: String = (rows.iter().enumerate())
            .map(|(number, total)| format!("{number};{total}\n"))
            .collect();
        let text = format!("Order ID;Order Total\n{rows}");
        let (survey, _) = read(auto, &text, |text, dataset, limits| {
            survey(text, dataset, &Shapes::new(), limits)
        })
        .expect("a sound file");
        survey.fits.columns.iter().map(|column| column.misfits).sum::<u64>()
    };
    // Both signs are proved, so that neither is believed.
    assert_eq!(misfits(&[&["2.50"; 25][..], &["3,42"]].concat()), 26);
    assert_eq!(misfits(&[&["2.50"; 25][..], &["1,234.5", "x"]].concat()), 1);
    // Too few for a refusal, whatever the sign.
    assert!(misfits(&["2.50", "3,42"]) < 20);
}

#[test]
fn a_file_without_its_key_is_refused_with_the_columns_that_it_has() {
    let refused = surveyed("Bestellnummer,SKU\n1,a\n").expect_err("it has no key").to_string();
    assert!(refused.contains("Bestellnummer, SKU"), "{refused}");
}
