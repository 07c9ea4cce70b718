//! Describe: what it prints of an unknown file, put into a configuration, syncs that file; where
//! something stays open, it syncs as text and says so.

use crate::exactness::{Known, difference};
use crate::sandbox::{FileReport, Sandbox, table};
use crate::seed;
use crate::written::Locale;
use fastrand::Rng;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate::config::{Config, Overrides};
use tidegate::dispatch::describe::describe;
use tidegate::source::find::scan::SourceFile;

/// Random tables of one run.
const TABLES: u64 = 320;

/// What describe prints of files in the inbox.
fn described(sandbox: &Sandbox, names: &[&str]) -> String {
    let paths: Vec<String> =
        names.iter().map(|name| sandbox.inbox().join(name).display().to_string()).collect();
    let mut arguments = vec!["describe"];
    arguments.extend(paths.iter().map(String::as_str));
    let output = sandbox.command(&arguments).output().expect("the built program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!sandbox.state_dir().exists(), "it writes nothing");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Takes a declaration into the configuration, has it checked, and syncs.
fn synced_by(sandbox: &Sandbox, toml: &str, name: &str) -> FileReport {
    toml::from_str::<toml::Table>(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"));
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, toml).expect("a writable temporary directory");
    let check = sandbox
        .command(&["check"])
        .env("TIDEGATE_CONFIG", &path)
        .output()
        .expect("the built program starts");
    assert_eq!(check.status.code(), Some(0), "{}\n{toml}", String::from_utf8_lossy(&check.stderr));
    let path = path.to_string_lossy().into_owned();
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", path.as_str())]);
    let file = report.file(name).clone();
    assert_eq!(file.outcome, "synced", "{report:?}\n{toml}");
    let count = |name: &str| file.counts[name];
    assert_eq!(
        count("read"),
        count("accepted") + count("duplicate") + count("rejected") + count("skipped"),
        "{file:?}"
    );
    assert_eq!([count("rejected"), count("rescued")], [0, 0], "{file:?}\n{toml}");
    file
}

/// The declaration of one file, by which it was synced.
fn described_and_synced(
    name: &str,
    content: &(impl AsRef<[u8]> + ?Sized),
) -> (Sandbox, String, FileReport) {
    let sandbox = Sandbox::sqlite();
    sandbox.drop_file(name, content);
    let toml = described(&sandbox, &[name]);
    let report = synced_by(&sandbox, &toml, name);
    (sandbox, toml, report)
}

#[track_caller]
fn says(toml: &str, parts: &[&str]) {
    for part in parts {
        assert!(toml.contains(part), "{part} is not in\n{toml}");
    }
}

#[test]
fn a_german_export_is_understood() {
    let rows = [
        "Auftragsnummer;Kunde;Datum;Betrag;Gewicht;PLZ;bezahlt",
        "A-1;Müller;17.02.2022;12,50;1.250;01067;true",
        "A-2;Otto;03.04.2022;1.250,00;2.000;80331;false",
        "A-3;;05.04.2022;-;3.500;10115;true",
        "Summe;;;1.262,50;;;",
    ];
    let (sandbox, toml, report) = described_and_synced("Verkäufe 2024-03-01.csv", &table(&rows));
    says(
        &toml,
        &[
            "decimal = \",\"",
            "key = \"auftragsnummer\"",
            "no_rows = { auftragsnummer = '(?i)^Summe$' }",
        ],
    );
    says(
        &toml,
        &[
            "type = \"date\", dates = \"dmy\"",
            "plz = { from = \"PLZ\", type = \"identifier\" }",
            "1 of 3 are empty",
        ],
    );
    assert_eq!([report.counts["read"], report.counts["skipped"]], [4, 1]);
    assert_eq!(
        sandbox.rows("SELECT auftragsnummer, kunde, datum, betrag, gewicht, plz, bezahlt FROM \"verkäufe\" ORDER BY 1"),
        [
            "A-1|Müller|2022-02-17|12.5|1250|01067|1",
            "A-2|Otto|2022-04-03|1250|2000|80331|0",
            "A-3|-|2022-04-05|-|3500|10115|1",
        ]
    );
}

#[test]
fn what_nothing_proves_is_text_and_told() {
    let rows = [
        "id\tprice\tday\tat",
        "1\t1.250\t03/04/2022\t2022-02-17 10:00",
        "2\t2.400\t05/06/2022\t2022-02-18 10:00",
    ];
    let (sandbox, toml, _) = described_and_synced("open.tsv", &table(&rows));
    says(&toml, &["1.250 may be 1250 or 1.25: say decimal = \",\" or \".\""]);
    says(
        &toml,
        &[
            "\"03/04/2022\" may be 3 April 2022 or 4 March 2022: say type = \"date\" and dates = \"dmy\" or \"mdy\"",
        ],
    );
    says(&toml, &["say timezone"]);
    assert_eq!(
        sandbox.rows("SELECT price, day, at FROM open ORDER BY id"),
        ["1.250|03/04/2022|2022-02-17T10:00:00.000Z", "2.400|05/06/2022|2022-02-18T10:00:00.000Z"]
    );
    // What it asks for is what makes numbers and days of them.
    let said = toml
        .replace("price = { type = \"text\" }", "price = { type = \"decimal\", decimal = \",\" }");
    let said =
        said.replace("day = { type = \"text\" }", "day = { type = \"date\", dates = \"mdy\" }");
    let again = Sandbox::sqlite();
    again.drop_file("open.tsv", &table(&rows));
    synced_by(&again, &said, "open.tsv");
    assert_eq!(
        again.rows("SELECT price, day FROM open ORDER BY id"),
        ["1250|2022-03-04", "2400|2022-05-06"]
    );
}

#[test]
fn months_by_name_and_times_of_all_kinds_are_times() {
    let rows = [
        "code,named,us,zoned,log",
        "a,17 Feb 2022,02/17/2022 4:05 PM,2022-02-17T16:36:27+03:00,17/Feb/2022:16:36:27 +0100",
        "b,1 Mar 2022,12/01/2022 11:59 AM,2022-02-17T16:36:27Z,18/Feb/2022:00:00:00 +0000",
    ];
    let (sandbox, toml, _) = described_and_synced("times.csv", &table(&rows));
    says(
        &toml,
        &[
            "dates = \"%d %b %Y\"",
            "us = { type = \"timestamp\", dates = \"mdy\" }",
            "%d/%b/%Y:%H:%M:%S %z",
        ],
    );
    assert_eq!(
        sandbox.rows("SELECT named, us, zoned, log FROM times ORDER BY code"),
        [
            "2022-02-17|2022-02-17T16:05:00.000Z|2022-02-17T13:36:27.000Z|2022-02-17T15:36:27.000Z",
            "2022-03-01|2022-12-01T11:59:00.000Z|2022-02-17T16:36:27.000Z|2022-02-18T00:00:00.000Z",
        ]
    );
}

#[test]
fn the_header_is_found_below_a_title_and_rows_after_the_data_are_none() {
    let report = [
        "Orders report",
        "Period;01.01.2022 - 31.01.2022",
        "",
        "Order No;City;Total",
        "R1;Riga;5.00",
        "R2;Oslo;6.50",
        "Total;;11.50",
        "2 orders downloaded in 2022",
    ];
    let (sandbox, toml, counts) = described_and_synced("report.csv", &table(&report));
    says(&toml, &["header_has = [\"Order No\", \"City\", \"Total\"]", "no_rows"]);
    assert_eq!(counts.counts["skipped"], 2);
    assert_eq!(
        sandbox.rows("SELECT order_no, city, total FROM report ORDER BY 1"),
        ["R1|Riga|5", "R2|Oslo|6.5"]
    );
    let padded = [
        "Store,Main street,",
        "From,2024-03-01,",
        ",,",
        "Order ID,Total,City",
        "R1,5.00,Riga",
        "R2,6.00,Oslo",
    ];
    let (sandbox, ..) = described_and_synced("padded.csv", &table(&padded));
    assert_eq!(
        sandbox.rows("SELECT order_id, city FROM padded ORDER BY 1"),
        ["R1|Riga", "R2|Oslo"]
    );
    let (sandbox, ..) = described_and_synced("sep.csv", "sep=|\r\nid|a,b\r\n1|x,y\r\n");
    assert_eq!(sandbox.rows("SELECT id, a_b FROM sep"), ["1|x,y"]);
}

#[test]
fn rows_of_one_order_become_a_record_with_lines() {
    let rows = [
        "order_id,customer,sku,quantity,order_total",
        "1,Ute,a,1,9.90",
        "1,Ute,b,2,9.90",
        "2,Otto,a,1,7.00",
        "2,Otto,c,5,7.00",
        "3,Eva,c,1,1.00",
    ];
    let (sandbox, toml, _) = described_and_synced("shop orders.csv", &table(&rows));
    says(
        &toml,
        &[
            "key = \"order_id\"",
            "lines_table = \"shop_orders_lines\"",
            "of = \"record\"",
            "of = \"line\"",
        ],
    );
    assert_eq!(
        sandbox
            .rows("SELECT order_id, customer, order_total, line_count FROM shop_orders ORDER BY 1"),
        ["1|Ute|9.9|2", "2|Otto|7|2", "3|Eva|1|1"]
    );
    assert_eq!(
        sandbox
            .rows("SELECT order_id, line_no, sku, quantity FROM shop_orders_lines ORDER BY 1, 2"),
        ["1|1|a|1", "1|2|b|2", "2|1|a|1", "2|2|c|5", "3|1|c|1"]
    );
    let pairs = ["order_id,line,item", "1,1,a", "2,1,b", "1,2,c"];
    let (sandbox, toml, _) = described_and_synced("pairs.csv", &table(&pairs));
    says(&toml, &["key = [\"order_id\", \"line\"]"]);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM pairs"), ["3"]);
}

#[test]
fn json_is_read_wherever_its_records_and_lines_are() {
    let document = r#"{"page": 1, "data": {"orders": [
        {"id": 1, "to": {"city": "x"}, "total": 12.5, "paid": true, "line_items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2.5}]},
        {"id": 2, "to": {"city": "y"}, "total": 7, "paid": false, "line_items": []}]}}"#;
    let (sandbox, toml, _) = described_and_synced("api.json", document);
    says(
        &toml,
        &["json = { root = \"data.orders\", lines = \"line_items\" }", "from = \"to.city\""],
    );
    assert_eq!(
        sandbox.rows("SELECT id, to_city, total, paid FROM api ORDER BY id"),
        ["1|x|12.5|1", "2|y|7|0"]
    );
    let lines = sandbox.rows("SELECT line_items_sku, line_items_n FROM api_lines ORDER BY line_no");
    assert_eq!(lines, ["a|1", "b|2.5"]);
    let ndjson =
        "{\"sku\": \"a\", \"n\": \"1,5\"}\n{\"sku\": \"b\", \"n\": \"2,25\", \"extra\": [1, 2]}\n";
    let (sandbox, toml, _) = described_and_synced("stock.ndjson", ndjson);
    says(&toml, &["decimal = \",\"", "key = \"sku\""]);
    assert_eq!(
        sandbox.rows("SELECT sku, n, extra FROM stock ORDER BY sku"),
        ["a|1.5|-", "b|2.25|[1, 2]"]
    );
}

#[test]
fn a_guessed_encoding_is_said_loudly() {
    let text = "id;name;city\n1;Jiří Dvořák;Plzeň\n2;Žofie;Řeháková\n";
    let (bytes, ..) = encoding_rs::WINDOWS_1250.encode(text);
    let (sandbox, toml, _) = described_and_synced("cz.csv", bytes.as_ref());
    says(&toml, &["GUESS", "\"Jiří\"", "encoding = \"windows-1250\""]);
    assert_eq!(sandbox.rows("SELECT name FROM cz ORDER BY id"), ["Jiří Dvořák", "Žofie"]);
    let again = Sandbox::sqlite();
    again.drop_file("names-1.csv", "id,name\n1,Jiří\n2,Žofie\n");
    again.drop_file(
        "names-2.csv",
        encoding_rs::WINDOWS_1250.encode("id,name\n3,Řehák\n4,Dvořák\n").0.as_ref(),
    );
    let toml = described(&again, &["names-1.csv", "names-2.csv"]);
    says(&toml, &["encoding = [\"utf-8\", \"windows-1250\"]"]);
    synced_by(&again, &toml, "names-2.csv");
    assert_eq!(
        again.rows("SELECT name FROM names ORDER BY id"),
        ["Jiří", "Žofie", "Řehák", "Dvořák"]
    );
    let shared = "id;name\n1;Zo\u{e9}\n2;Ren\u{e9}e\n".chars().map(|c| c as u8).collect::<Vec<_>>();
    let (sandbox, toml, _) = described_and_synced("fr.csv", &shared);
    assert!(!toml.contains("GUESS"), "{toml}");
    assert_eq!(sandbox.rows("SELECT name FROM fr ORDER BY id"), ["Zoé", "Renée"]);
}

#[test]
fn whatever_names_and_cells_are_the_declaration_is_one() {
    let rows = "Id,Name,Name,,market,line_no,\"Line\nBreak\",'''x''',\"[a] = \"\"b\"\"\",注文番号,Größe,größe,\u{202e}rtl,#,select\n\
        1,a,b,x,m,1,5,q,\"\"\"'''\",7,1,2,r,9,s\n2,c,d,y,n,2,6,\"]\n[datasets.x]\n\",z,8,3,4,\u{1b}[31m,10,\"\\\"\n";
    let (sandbox, toml, report) = described_and_synced("we'ird [1] \"x\".csv", rows);
    assert_eq!(report.counts["accepted"], 2);
    says(
        &toml,
        &[
            "market_2 = { from = \"market\"",
            "from = \"Line\\nBreak\"",
            "an earlier column has the same name",
        ],
    );
    assert!(!toml.contains('\u{1b}') && !toml.contains('\u{202e}'));
    let table =
        sandbox.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'we_ird%'");
    let stored = sandbox.rows(&format!(
        "SELECT name, name_2, market_2, line_no_2, a_b, größe, größe_2 FROM {} ORDER BY id",
        table[0]
    ));
    assert_eq!(stored, ["a|b|m|1|\"'''|1|2", "c|d|n|2|z|3|4"]);
}

#[test]
fn small_and_empty_files_are_described() {
    for (name, content, columns) in [
        ("one_column.csv", "sku\nA\nB\n", "sku"),
        ("header_only.csv", "a,b,c\n", "a, b, c"),
        ("empty_column.csv", "id,note\n1,\n2,-\n", "id, note"),
        ("no_key.csv", "city,amount\nx,1\nx,1\ny,2\n", "city, amount"),
        ("empty_list.json", "[]", ""),
        ("quotes.csv", "'id','text'\n'1','a, b'\n'2','it''s'\n", "id, text"),
        ("packed.ndjson", "{\"id\": 1}\n", "id"),
    ] {
        let (sandbox, toml, report) = described_and_synced(name, content);
        says(&toml, &[&format!("[datasets.{}]", name.split('.').next().expect("a name"))]);
        if !columns.is_empty() && report.counts["accepted"] > 0 {
            let rows = sandbox.rows(&format!(
                "SELECT {columns} FROM {}",
                name.split('.').next().expect("a name")
            ));
            assert_eq!(rows.len() as u64, report.counts["accepted"], "{name}");
        }
    }
}

#[test]
fn files_of_one_feed_are_one_dataset_and_others_are_their_own() {
    let sandbox = Sandbox::sqlite();
    sandbox.drop_file("sales-2024-03-01.csv", "id,price\n1,1.250\n2,2\n");
    sandbox.drop_file("sales-2024-03-02.csv", "id,price\n1,1.5\n3,soon\n");
    sandbox.drop_file("orders.csv", "nr,what\n1,x\n2,y\n");
    sandbox.drop_file("shop 1 stock.csv", "sku,n\na,1\n");
    sandbox.drop_file("shop 2 stock.csv", "sku,n\na,2\n");
    let names = [
        "sales-2024-03-01.csv",
        "sales-2024-03-02.csv",
        "orders.csv",
        "shop 1 stock.csv",
        "shop 2 stock.csv",
    ];
    let toml = described(&sandbox, &names);
    assert_eq!(toml.matches("[datasets.").count(), 6, "{toml}");
    says(
        &toml,
        &[
            "[datasets.sales]",
            "[datasets.orders_2]",
            "[datasets.shop_stock]",
            "price = { type = \"text\" }",
        ],
    );
    synced_by(&sandbox, &toml, "orders.csv");
    assert_eq!(sandbox.rows("SELECT id, price FROM sales ORDER BY id"), ["1|1.5", "2|2", "3|soon"]);
    assert_eq!(
        sandbox.rows("SELECT market, sku, n FROM shop_stock ORDER BY market"),
        ["1|a|1", "2|a|2"]
    );
}

#[test]
fn json_tells_programs_the_same_and_failures_are_told() {
    let sandbox = Sandbox::sqlite();
    sandbox.drop_file("a.csv", "id,x\n1,1.250\n");
    sandbox.drop_file("Market 1 Orders.csv", "Order ID,SKU\n1,a\n");
    sandbox.drop_file("b.xls", "PK");
    sandbox.drop_file("c.json", "{\"a\": [");
    let path = |name: &str| sandbox.inbox().join(name).display().to_string();
    let arguments = [
        "--json",
        "describe",
        &path("a.csv"),
        &path("b.xls"),
        &path("c.json"),
        &path("none.csv"),
        &path("Market 1 Orders.csv"),
    ];
    let output = sandbox.command(&arguments).output().expect("the built program starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in
        ["b.xls: ", "cannot be described", "c.json: ", "truncated", "none.csv: cannot be read"]
    {
        assert!(said.contains(part), "{said}");
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let first = &json["datasets"][0];
    assert_eq!((first["name"].as_str(), first["key"][0].as_str()), (Some("a"), Some("id")));
    assert_eq!(
        (first["columns"][1]["name"].as_str(), first["columns"][1]["type"].as_str()),
        (Some("x"), Some("text"))
    );
    assert!(
        first["columns"][1]["open"][0].as_str().is_some_and(|open| open.contains("1.250 may be")),
        "{json}"
    );
    assert!(first["toml"].as_str().is_some_and(|toml| toml.contains("[datasets.a.columns]")));
    assert_eq!(json["datasets"][1]["taken_by"][0], "orders");
    assert_eq!(json["failures"].as_array().map(Vec::len), Some(3));
    assert!(!sandbox.state_dir().exists() && !sandbox.path("database.sqlite").exists());
    let usage = sandbox.command(&["describe"]).output().expect("the built program starts");
    assert_eq!(usage.status.code(), Some(2));
}

/// The declaration of a file, loaded as a configuration.
pub fn declared(directory: &Path, path: &Path, config: &Config) -> Config {
    let file = SourceFile::at(&Arc::from(directory), path, &config.datasets, &config.limits)
        .expect("an ordinary file");
    let description = describe(config, vec![file]).expect("the shipped definitions are right");
    let [dataset] = description.datasets.as_slice() else { panic!("{description:?}") };
    assert!(description.failures.is_empty(), "{description:?}");
    let config_path = directory.join("described.toml");
    fs::write(&config_path, &dataset.toml).expect("writable");
    let overrides = Overrides { config: Some(config_path), ..Overrides::default() };
    Config::load(&overrides).unwrap_or_else(|error| panic!("{error}\n{}", dataset.toml))
}

#[test]
fn whatever_is_described_is_stored_as_it_is_or_as_its_text() {
    let seed = seed::of("DESCRIBE_SEED");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = Config::load(&Overrides::default()).expect("the embedded defaults");
    let mut numbers = 0;
    for number in 0..TABLES {
        let mut random = Rng::with_seed(seed.wrapping_add(number));
        let locale = Locale::any(&mut random);
        let table = locale.table(&mut random, "key", &["a", "b", "c", "d"]);
        let path = directory.path().join(format!("t.{}", table.extension));
        fs::write(&path, &table.text).expect("writable");
        let own = declared(directory.path(), &path, &config);
        let dataset =
            own.datasets.iter().find(|dataset| dataset.name == "t").expect("it is declared");
        let seed = seed.wrapping_add(number);
        let toml =
            || fs::read_to_string(directory.path().join("described.toml")).unwrap_or_default();
        let stored = Known::nothing_of(dataset).read(&path, &own);
        let stored = stored
            .unwrap_or_else(|| panic!("DESCRIBE_SEED={seed}: refused\n{}\n{}", table.text, toml()));
        let is_rescued =
            stored.iter().flat_map(|row| row.values()).any(|(_, rescued)| rescued.is_some());
        let wrong = difference(&table, &stored, 0, &mut numbers)
            .or_else(|| is_rescued.then(|| "rescued".to_owned()));
        if let Some(wrong) = wrong {
            panic!("{wrong}\nDESCRIBE_SEED={seed}\n{}\n{}", table.text, toml());
        }
    }
    assert!(numbers > TABLES, "only {numbers} values were read as numbers");
}

/// `DESCRIBE_CASES`, or the folder `shared/cases` beside the project.
fn cases() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases");
    let folder = std::env::var_os("DESCRIBE_CASES").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    let note =
        format!("SKIPPED: no cases in {}; DESCRIBE_CASES names their folder\n", folder.display());
    std::io::stderr().write_all(note.as_bytes()).expect("the error output is open");
    None
}

#[test]
fn each_case_syncs_by_its_own_description() {
    let Some(cases) = cases() else { return };
    let files = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("a readable folder").path()).collect::<Vec<_>>()
    };
    let mut synced = 0;
    for path in files(&cases)
        .iter()
        .flat_map(|case| files(&case.join("inbox")))
        .filter(|path| path.is_file())
    {
        let sandbox = Sandbox::sqlite();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        sandbox.drop_file(&name, &fs::read(&path).expect("a readable case"));
        let file = sandbox.inbox().join(&name).display().to_string();
        let output =
            sandbox.command(&["describe", &file]).output().expect("the built program starts");
        let toml = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.code() != Some(0) {
            // It says why, and never prints what is no declaration.
            assert_eq!(output.status.code(), Some(1), "{}", path.display());
            assert!(
                !output.stderr.is_empty() && toml.parse::<toml::Table>().is_ok(),
                "{}",
                path.display()
            );
            continue;
        }
        let config = sandbox.path("tidegate.toml");
        // Profiles would take the file before.
        fs::write(&config, format!("profiles = []\n{toml}")).expect("writable");
        let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", config.to_string_lossy().as_ref())]);
        assert_eq!(report.file(&name).outcome, "synced", "{}: {report:?}\n{toml}", path.display());
        assert_eq!(report.file(&name).counts["rescued"], 0, "{}\n{toml}", path.display());
        synced += 1;
    }
    assert!(synced > 60, "only {synced} cases were synced");
}
