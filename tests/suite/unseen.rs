//! Unseen: names of the configuration that no file has had, and files that two datasets could take,
//! are told by `check` and `plan`.

use crate::rules::{json_of, run};
use crate::sandbox::{Sandbox, table};
use serde_json::Value;
use std::fs;

const CONFIGURATION: &str = "[datasets.stock]\npaths = ['/stock[^/]*$']\nkey = 'sku'\n\
     [datasets.stock.columns]\nmaker = { references = 'makers.maker' }\n\
     size = { references = 'stock.sku' }\n\
     [datasets.articles]\npaths = ['/stock-new[^/]*$']\nkey = 'sku'\n\
     [markets.atlantis]\ndecimal = ','\n[markets.1]\ndecimal = '.'\n";

fn configure(sandbox: &Sandbox) {
    let path = sandbox.path("tidegate.toml");
    let inbox = sandbox.inbox();
    let text = format!("inbox = '{}'\n{CONFIGURATION}", inbox.display());
    fs::write(path, text).expect("a writable directory");
}

/// What `check` notes of one kind: subjects and notes.
fn noted(sandbox: &Sandbox, what: &str) -> Vec<(String, String)> {
    let json = json_of(sandbox, &["check"]);
    let findings = json["findings"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .filter(|finding| finding["what"] == what)
        .inspect(|finding| assert_eq!(finding["is"], "note", "{finding}"))
        .map(|finding| (text(&finding["subject"]), text(&finding["note"])))
        .collect()
}

scenario!(names_that_no_file_has_had_are_told_once_there_are_files);
fn names_that_no_file_has_had_are_told_once_there_are_files(sandbox: &Sandbox) {
    configure(sandbox);
    assert_eq!(noted(sandbox, "markets"), []);
    sandbox.drop_file("Market 1 Orders.csv", &table(&["Order ID,SKU", "1,A"]));
    sandbox.drop_file("stock.csv", &table(&["sku,maker,size", "a,m,a"]));
    assert_eq!(run(sandbox, &["sync", "inbox"]).0, 0);
    let [(market, note)] = noted(sandbox, "markets").try_into().expect("one of the two");
    assert_eq!(market, "markets.atlantis");
    assert!(note.contains("those of files are ``, `1`"), "{note}");
    let [(column, note)] = noted(sandbox, "references").try_into().expect("one of the two");
    assert_eq!(column, "datasets.stock.columns.maker");
    assert!(note.contains("makers.maker"), "{note}");
}

scenario!(a_file_that_two_datasets_could_take_is_told_with_the_one_that_takes_it);
fn a_file_that_two_datasets_could_take_is_told_with_the_one_that_takes_it(sandbox: &Sandbox) {
    configure(sandbox);
    for name in ["stock.csv", "stock-new-1.csv", "stock-new-2.csv"] {
        sandbox.drop_file(name, &table(&["sku,maker", "a,m"]));
    }
    let [(datasets, note)] = noted(sandbox, "paths").try_into().expect("one pair");
    assert_eq!(datasets, "articles, stock");
    assert!(note.contains("2 files") && note.contains("stock-new-"), "{note}");
    assert!(note.contains("articles takes them"), "{note}");
    let json = json_of(sandbox, &["plan", "inbox"]);
    for file in json["files"].as_array().expect("a list") {
        let expected = match file["name"].as_str() {
            Some("stock.csv") => serde_json::json!([]),
            _ => serde_json::json!(["articles", "stock"]),
        };
        assert_eq!(file["matching"], expected, "{file}");
        assert_eq!(file["dataset"] == "stock", file["name"] == "stock.csv", "{file}");
    }
    let (_, text) = run(sandbox, &["plan", "inbox"]);
    assert_eq!(text.matches("of articles, stock match; articles takes it").count(), 2, "{text}");
}
