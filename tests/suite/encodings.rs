//! Encodings: the same rows whatever bytes their characters are written as; nothing is guessed that
//! could be wrong.

use crate::sandbox::{Engine, FileReport, Sandbox};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.json";

fn sync(sandbox: &Sandbox, name: &str, content: &[u8]) -> FileReport {
    sandbox.drop_file(name, content);
    sandbox.sync().file(name).clone()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

/// Latin-1, which is the part of Windows-1252 from A0 on.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("the text is Latin-1")).collect()
}

/// Rows that a few rejects are no large share of.
fn filler() -> String {
    (0..60).map(|number| format!("filler{number},f,f\n")).collect()
}

const NOT_FILLER: &str =
    "SELECT order_id, description FROM orders WHERE order_id NOT LIKE 'filler%' ORDER BY order_id";
const REJECTS: &str =
    "SELECT r.row_number, column_name, raw FROM tidegate_rejects r ORDER BY r.row_number";

scenario!(the_same_rows_come_out_of_every_encoding);
fn the_same_rows_come_out_of_every_encoding(sandbox: &Sandbox) {
    let csv = "Order ID,SKU,Description,Reviews\n11,é,\"Käse, €\",x\n12,B,naïve Straße,😀\n";
    // What the usual encodings read alike.
    let western = csv.replace('€', "ö").replace('😀', "o").replace('ï', "i");
    let json = r#"[{"Customer ID": "é1", "Language": "größer"}, {"Customer ID": "2", "Language": "ñandú"}]"#;
    for (text, json) in [(csv, json), (&western, &json.replace('ñ', "n").replace('ú', "u"))] {
        let plain = sandbox.sibling();
        assert_eq!(sync(&plain, ORDERS, text.as_bytes()).outcome, "synced");
        assert_eq!(sync(&plain, CUSTOMERS, json.as_bytes()).outcome, "synced");
        let mark = "\u{feff}";
        let mut others = vec![
            (
                "UTF-8 with a mark",
                format!("{mark}{text}").into_bytes(),
                format!("{mark}{json}").into_bytes(),
            ),
            ("UTF-16LE", utf16(text, u16::to_le_bytes), utf16(json, u16::to_le_bytes)),
            ("UTF-16BE", utf16(text, u16::to_be_bytes), utf16(json, u16::to_be_bytes)),
            (
                "UTF-16LE with a mark",
                utf16(&format!("{mark}{text}"), u16::to_le_bytes),
                utf16(&format!("{mark}{json}"), u16::to_le_bytes),
            ),
            (
                "UTF-16BE with a mark",
                utf16(&format!("{mark}{text}"), u16::to_be_bytes),
                utf16(&format!("{mark}{json}"), u16::to_be_bytes),
            ),
        ];
        if text == western {
            others.push(("Windows-1252", latin1(text), latin1(json)));
        }
        for (encoding, orders, customers) in others {
            let fresh = sandbox.sibling();
            assert_eq!(sync(&fresh, ORDERS, &orders).outcome, "synced", "{encoding}");
            assert_eq!(sync(&fresh, CUSTOMERS, &customers).outcome, "synced", "{encoding}");
            assert_eq!(fresh.dump(), plain.dump(), "{encoding}");
        }
    }
}

scenario!(other_bytes_are_read_only_where_the_usual_encodings_agree);
fn other_bytes_are_read_only_where_the_usual_encodings_agree(sandbox: &Sandbox) {
    // Cyrillic, Polish, Turkish, French, quotation marks, Shift_JIS, and a byte that is open in
    // most.
    let undecided: [(&[u8], &str); 7] = [
        (b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0", "windows-1251"),
        (b"\xa3ukasz Wi\x9cniewski, Gda\xf1sk", "windows-1250"),
        (b"\xddstanbul, Eski\xfeehir, \xddzmir, I\xf0d\xfdr", "windows-1254"),
        (b"cr\xe8me br\xfbl\xe9e", "windows-1252"),
        (b"\x93caf\xe9\x94 5\x80", "windows-1252"),
        (b"\x93\xfa\x96{\x8c\xea \x82\xcc\x83n\x83\x93\x83h", "Shift_JIS"),
        (b"caf\xe9 \x81", ""),
    ];
    let western =
        latin1(&format!("Order ID,SKU,Description\n11,A,Stra\u{df}e in K\u{f6}ln\n{}", filler()));
    assert_eq!(sync(sandbox, ORDERS, &western).outcome, "synced");
    assert_eq!(sandbox.rows(NOT_FILLER), ["11|Stra\u{df}e in K\u{f6}ln"]);
    for (text, looks_like) in undecided {
        let content =
            [b"Order ID,SKU,Description\n11,A,\"", text, b"\"\n", filler().as_bytes()].concat();
        let report = sync(sandbox, ORDERS, &content);
        assert_eq!(report.outcome, "quarantined", "{}", text.escape_ascii());
        let says = format!("set `encoding = \"{looks_like}");
        assert!(report.error.contains(&says), "{}: {}", text.escape_ascii(), report.error);
        assert_eq!(
            sandbox.rows(NOT_FILLER),
            ["11|Stra\u{df}e in K\u{f6}ln"],
            "{}",
            text.escape_ascii()
        );
    }
}

scenario!(an_odd_byte_in_text_that_is_utf_8_rejects_its_row);
fn an_odd_byte_in_text_that_is_utf_8_rejects_its_row(sandbox: &Sandbox) {
    let odd: [&[u8]; 4] = [b"caf\xe9", b"\x80abc", b"\xc3\x28", b"5 \xa3"];
    for bytes in odd {
        let sandbox = &sandbox.sibling();
        let utf8 = "12,B,größer\n".as_bytes();
        let content =
            [b"Order ID,SKU,Description\n11,A,", bytes, b"\n", utf8, filler().as_bytes()].concat();
        let report = sync(sandbox, ORDERS, &content);
        assert_eq!(
            (report.outcome.as_str(), report.counts["rejected"]),
            ("synced", 1),
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!(sandbox.rows(NOT_FILLER), ["12|größer"], "{}", bytes.escape_ascii());
        let reasons = sandbox.rows("SELECT reason FROM tidegate_rejects");
        assert!(reasons[0].contains("set `encoding` of the dataset"), "{reasons:?}");
    }
}

scenario!(every_encoding_can_be_declared_and_several_are_tried_in_turn);
fn every_encoding_can_be_declared_and_several_are_tried_in_turn(sandbox: &Sandbox) {
    let texts = [
        ("shift_jis", encoding_rs::SHIFT_JIS, "日本語のハンドメイド"),
        ("windows-1254", encoding_rs::WINDOWS_1254, "İstanbul, Iğdır"),
        ("koi8-r", encoding_rs::KOI8_R, "Привет"),
        ("GB18030", encoding_rs::GB18030, "中文名 𠮷"),
        ("iso-8859-15", encoding_rs::ISO_8859_15, "5 € œuvre"),
    ];
    let config = sandbox.path("tidegate.toml");
    let synced = |sandbox: &Sandbox, encoding: &str, content: &[u8]| {
        fs::write(&config, format!("[datasets.orders]\nencoding = {encoding}\n"))
            .expect("writable");
        sandbox.drop_file(ORDERS, content);
        let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &config.to_string_lossy())]);
        assert_eq!(report.file(ORDERS).outcome, "synced", "{encoding} {report:?}");
        report.file(ORDERS).counts["rejected"]
    };
    for (label, encoding, text) in texts {
        let content = format!("Order ID,SKU,Description\n11,A,\"{text}\"\n{}", filler());
        let rejected = synced(sandbox, &format!("\"{label}\""), &encoding.encode(&content).0);
        assert_eq!(
            (rejected, sandbox.rows(NOT_FILLER)),
            (0, vec![format!("11|{text}")]),
            "{label}"
        );
        for (encoding, several) in
            [(encoding_rs::UTF_8, "[\"utf-8\", \"shift_jis\"]"), (encoding, "X")]
        {
            let several = several.replace('X', &format!("[\"utf-8\", \"{label}\"]"));
            assert_eq!(synced(sandbox, &several, &encoding.encode(&content).0), 0, "{several}");
            assert_eq!(sandbox.rows(NOT_FILLER), [format!("11|{text}")], "{several}");
        }
    }
    let broken =
        [b"Order ID,SKU,Description\n11,A,\x93\xfa\xff\n12,B,x\n".as_slice(), filler().as_bytes()]
            .concat();
    assert_eq!(synced(sandbox, "\"shift_jis\"", &broken), 1);
    assert_eq!(sandbox.rows(REJECTS), [r"1|description|11,A,日\xFF"]);
}

scenario!(bytes_that_the_encoding_does_not_define_reject_the_row_and_stay_readable);
fn bytes_that_the_encoding_does_not_define_reject_the_row_and_stay_readable(sandbox: &Sandbox) {
    let half_pair = "11,A,x\u{e000}\n12,B,é\n";
    let text = format!("Order ID,SKU,Description\n{half_pair}{}", filler());
    for (market, to_bytes, raw) in [
        (1, u16::to_le_bytes as fn(u16) -> [u8; 2], r"11,A,x\x00\xD8"),
        (2, u16::to_be_bytes, r"11,A,x\xD8\x00"),
    ] {
        let fresh = sandbox.sibling();
        let units = text.encode_utf16().map(|unit| if unit == 0xe000 { 0xd800 } else { unit });
        let bytes: Vec<u8> = units.flat_map(to_bytes).collect();
        let report = sync(&fresh, &format!("Market {market} Orders.csv"), &bytes);
        assert_eq!((report.outcome.as_str(), report.counts["rejected"]), ("synced", 1));
        assert_eq!(fresh.rows(REJECTS), [format!("1|description|{raw}")]);
        assert_eq!(fresh.rows(NOT_FILLER), ["12|é"]);
    }
    // Set, Windows-1252 needs no proof; what it does not define is a reject all the same.
    let config = sandbox.path("tidegate.toml");
    fs::write(&config, "[datasets.orders]\nencoding = \"windows-1252\"\n").expect("writable");
    let bytes =
        [b"Order ID,SKU,Description\n11,A,caf\xe9\x81\n12,B,\xcf\xf0\xe8\n", filler().as_bytes()]
            .concat();
    sandbox.drop_file(ORDERS, &bytes);
    let report = sandbox.sync_with(&[("TIDEGATE_CONFIG", &config.to_string_lossy())]);
    assert_eq!(report.file(ORDERS).counts["rejected"], 1, "{report:?}");
    assert_eq!(sandbox.rows(REJECTS), [r"1|description|11,A,café\x81"]);
    assert_eq!(sandbox.rows(NOT_FILLER), ["12|Ïðè"]);
}

#[test]
fn a_mark_wins_over_the_setting_and_the_setting_over_a_guess() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let config = sandbox.path("tidegate.toml");
    let set = |encoding: &str| {
        fs::write(&config, format!("[datasets.orders]\nencoding = \"{encoding}\"\n"))
            .expect("writable");
        sandbox.sync_with(&[("TIDEGATE_CONFIG", &config.to_string_lossy())])
    };
    let text = format!("Order ID,SKU,Description\n11,A,é\n{}", filler());
    sandbox.drop_file(ORDERS, &format!("\u{feff}{text}"));
    assert_eq!(set("windows-1252").file(ORDERS).outcome, "synced");
    assert_eq!(sandbox.rows(NOT_FILLER), ["11|é"]);
    sandbox.drop_file(ORDERS, &latin1(&text));
    assert_eq!(set("utf-8").file(ORDERS).counts["rejected"], 1);
    sandbox.drop_file(ORDERS, &utf16(&text.replace('é', "è"), u16::to_le_bytes));
    assert_eq!(set("utf-16le").file(ORDERS).outcome, "synced");
    assert_eq!(sandbox.rows(NOT_FILLER), ["11|è"]);
    let report = set("latin-9");
    assert_eq!(report.exit, 2);
    assert!(
        report.stderr.contains("datasets.orders.encoding")
            && report.stderr.contains("windows-1252")
    );
}

scenario!(utf_16_that_ends_in_the_middle_of_a_character_is_refused);
fn utf_16_that_ends_in_the_middle_of_a_character_is_refused(sandbox: &Sandbox) {
    let mut bytes = utf16("Order ID,SKU\n11,A\n", u16::to_le_bytes);
    bytes.pop();
    let report = sync(sandbox, ORDERS, &bytes);
    assert_eq!(report.outcome, "quarantined");
    assert!(report.error.contains("truncated"), "{}", report.error);
}

scenario!(rejects_of_a_foreign_file_go_out_and_come_back);
/// Rejects leave as UTF-8 with commas, whatever the dataset says of its own files, and come back as
/// they are.
fn rejects_of_a_foreign_file_go_out_and_come_back(sandbox: &Sandbox) {
    let text = format!(
        "Order ID;SKU;Description\n11;A;'x; é'\n3E+29;B;'y; é'\n12;C;z\n{}",
        filler().replace(',', ";")
    );
    let config =
        "[datasets.orders]\nencoding = \"windows-1252\"\ndelimiter = \";\"\nquote = \"'\"\n";
    let path = sandbox.path("tidegate.toml");
    fs::write(&path, config).expect("writable");
    let environment = [("TIDEGATE_CONFIG", &*path.to_string_lossy())];
    sandbox.drop_file(ORDERS, &latin1(&text));
    assert_eq!(sandbox.sync_with(&environment).file(ORDERS).counts["rejected"], 1);
    let mut command = sandbox.command(&["rejects", "--export", "out"]);
    assert!(command.envs(environment).output().expect("the built program starts").status.success());
    let name = "Market 1 Orders.rejects.csv";
    let rejects = fs::read_to_string(sandbox.path("out").join(name)).expect("UTF-8");
    assert!(
        rejects.starts_with("Order ID,SKU,Description,_row") && rejects.contains("3E+29,B,y; é,2,"),
        "{rejects}"
    );
    sandbox.drop_file(name, &rejects.replace("3E+29", "13"));
    assert_eq!(sandbox.sync_with(&environment).file(name).outcome, "synced");
    assert_eq!(sandbox.rows(NOT_FILLER), ["11|x; é", "12|z", "13|y; é"]);
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM tidegate_rejects WHERE closed_at IS NULL"),
        ["0"]
    );
}
