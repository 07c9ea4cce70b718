//! Text and JSON: what a command tells people, it tells programs too. Each number and each name of
//! the text stands in the JSON; so does each word that is not of the sentences around them.

use crate::sandbox::{Engine, Sandbox, table};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const HEADER: &str =
    "Order ID,SKU,Order Status,Quantity,Order Total,Currency Symbol,Customer ID,Order Time";

/// Every dataset deletes what the newest export lacks, up to a half of it.
const CONFIGURATION: &str = "rejects_max_percent = 60\n\
     [datasets.orders]\ndeletes = 'remove'\ndeletes_max_percent = 50\n\
     [datasets.orders.columns]\nquantity = { max = 100, on_violation = 'warn' }\n\
     coupon = { from = 'Voucher' }\n";

/// Words of the sentences around what is told, of any command.
const SENTENCES: &str = "\
    a above accepted after all an and any are at be because been before can chars class column columns \
    correct correction correct d declared do down drop duplicate else export exports f file files first for found from \
    has have header hour i if in inbox is it its last later least left let line lines lists ledger \
    made market marts may me more most name names new newer no none not nothing nobody of on once one only or order \
    orders others over own put read records rejected repaired rescued right row rows run s same second see seen service \
    skipped so stale such sync synced table tables take takes than that the their them then there these they this those \
    tidegate to top totals total under unread up value values version wait waits waiting was were what where which with \
    write writes would yet you your";

/// What a command says, as text and as JSON.
fn said(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let mut command = sandbox.command(arguments);
    command.env("TIDEGATE_CONFIG", sandbox.path("tidegate.toml"));
    command.env("TIDEGATE_INBOX", sandbox.inbox());
    let output = command.output().expect("the built program starts");
    assert!(!output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    // Two sandboxes lie in two places.
    let text = String::from_utf8(output.stdout).expect("the output is UTF-8");
    text.replace(&*sandbox.path("").to_string_lossy(), "/sandbox/")
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(sandbox, &[&["--json"], arguments].concat()))
        .expect("one JSON document")
}

/// The words and numbers of a text, each in one spelling.
fn words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, ':' | ';' | '(' | '=')) {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '/'));
        match word.replace(',', "").parse::<Decimal>() {
            Ok(number) => drop(words.insert(number.normalize().to_string())),
            // The JSON has a table and its column apart.
            Err(_) => words.extend(word.split('.').map(str::to_lowercase)),
        }
    }
    words.remove("");
    words
}

/// All that stands in a JSON document: names of members, texts, numbers, and those that are
/// milliseconds in seconds, too.
fn told(json: &Value, told: &mut BTreeSet<String>) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                told.extend(name.split('_').map(str::to_owned));
                self::told(value, told);
                if let Some(ms) = value.as_f64().filter(|_| name.ends_with("_ms")) {
                    told.extend(words(&format!("{:.1}", ms / 1000.0)));
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| self::told(value, told)),
        Value::String(text) => {
            told.extend(words(text));
            told.extend(text.rsplit('/').next().map(words).unwrap_or_default());
        }
        Value::Number(number) => told.extend(words(&number.to_string())),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Checks that the JSON has what the text has; `asides` are further words of its sentences.
fn agree(command: &str, text: &str, json: &Value, asides: &str) {
    let mut told = BTreeSet::new();
    self::told(json, &mut told);
    let sentences: BTreeSet<String> = words(SENTENCES).into_iter().chain(words(asides)).collect();
    let missing: Vec<String> = words(text)
        .into_iter()
        .filter(|word| !told.contains(word) && !sentences.contains(word))
        .collect();
    assert_eq!(missing, [""; 0], "{command} says\n{text}\nand as JSON\n{json:#}");
}

/// How long something took differs from run to run.
fn without_times(text: &str) -> String {
    let time = regex::Regex::new(r"  \d+\.\d s").expect("a constant");
    time.replace_all(text, "").into_owned()
}

/// A market whose files have something of everything, twice: the second version adds, changes and
/// loses records.
fn drop_version(sandbox: &Sandbox, version: usize) {
    let order = |number: u32, status: &str, total: &str| {
        format!("{number},A,{status},2,{total},KSh,7,2022-02-15T13:07:09.000Z")
    };
    let disagreeing = ["5,B,COMPLETED,1,80,KSh,7,2022-02-15T13:07:09.000Z".to_owned()];
    let mut rows: Vec<String> = (1..=6).map(|n| order(n, "ORDERED", "1234.5")).collect();
    rows.extend(disagreeing);
    rows.push(order(7, "COMPLETED", "about 5"));
    rows.push(order(8, "COMPLETED", "9").replace(",2,", ",222,"));
    rows.push("3.68E+29,A,COMPLETED,1,1,KSh,7,2022-02-15T13:07:09.000Z".to_owned());
    if version == 2 {
        rows[0] = order(1, "CANCELLED", "1234.5");
        rows.remove(1);
        rows.push(order(17, "COMPLETED", "11.25"));
    }
    let lines: Vec<&str> = std::iter::once(HEADER).chain(rows.iter().map(String::as_str)).collect();
    sandbox.drop_file("Market 1 Orders.csv", &table(&lines));
    let few = if version == 1 { &lines[..6] } else { &lines[..2] };
    sandbox.drop_file("Market 2 Orders.csv", &table(few));
    let gift =
        lines.iter().map(|line| format!("{line},{}", if *line == HEADER { "Gift" } else { "yes" }));
    let gift: Vec<String> = gift.collect();
    sandbox.drop_file(
        "Market 3 Orders.csv",
        &table(&gift.iter().map(String::as_str).collect::<Vec<_>>()),
    );
    sandbox.drop_file("Market 4 Orders.csv", &table(&[HEADER, lines[10]]));
    sandbox.drop_file("notes.csv", "a,b\n1,2\n");
    fs::write(sandbox.path("tidegate.toml"), CONFIGURATION).expect("a writable directory");
}

scenario!(what_a_sync_and_a_plan_tell_people_they_tell_programs);
fn what_a_sync_and_a_plan_tell_people_they_tell_programs(sandbox: &Sandbox) {
    let other = sandbox.sibling();
    for version in [1, 2] {
        drop_version(sandbox, version);
        drop_version(&other, version);
        let plan = without_times(&said(sandbox, &["plan", "inbox"]));
        agree("plan", &plan, &json(sandbox, &["plan", "inbox"]), "schema disagree");
        let text = said(sandbox, &["sync", "inbox"]);
        for told in [&plan, &text] {
            assert!(told.contains("  rows of 1 record disagree"), "{told}");
        }
        let json = json(&other, &["sync", "inbox"]);
        agree("sync", &without_times(&text), &json, "customers disagree");
        let files = json["files"].as_array().expect("a list of files");
        assert!(files.iter().all(|file| file["elapsed_ms"].is_u64()), "{json:#}");
        assert!(files.iter().any(|file| file["records_disagreeing"] == 1), "{json:#}");
    }
}

scenario!(what_status_and_rejects_and_check_tell_people_they_tell_programs);
fn what_status_and_rejects_and_check_tell_people_they_tell_programs(sandbox: &Sandbox) {
    drop_version(sandbox, 1);
    said(sandbox, &["sync", "inbox"]);
    drop_version(sandbox, 2);
    said(sandbox, &["sync", "inbox"]);
    sandbox.drop_file("Market 9 Orders.csv", &table(&[HEADER]));
    for (command, asides) in [
        ("status", "exact approve json rate"),
        ("rejects", "into copy dir dataset earlier dropped again"),
        ("rejects --all", "into copy dir dataset dropped again"),
        ("check", ""),
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        agree(command, &said(sandbox, &arguments), &json(sandbox, &arguments), asides);
    }
    let state = sandbox.state_dir();
    fs::remove_dir_all(&state).expect("it is there");
    fs::write(&state, "no folder").expect("a writable directory");
    let mut words = BTreeSet::new();
    for finding in json(sandbox, &["check"])["findings"].as_array().expect("a list") {
        let is = finding["is"].as_str().expect("a word").to_owned();
        assert_eq!(finding.get("fault").is_some(), is == "fault", "{finding}");
        words.insert(is);
    }
    let all = ["fault", "note", "ok"].map(str::to_owned);
    assert_eq!(words, all.into(), "{:?}", sandbox.engine == Engine::Sqlite);
}
