//! Escapes: a character of JSON that is written by its number is that character.

use crate::sandbox::{Engine, Report, Sandbox};
use fastrand::Rng;

const CUSTOMERS: &str = "Market 1 Customers.ndjson";

/// Characters of each plane, beside its first and last ones.
const PER_PLANE: usize = 24;

/// As programs write JSON that is to be ASCII.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Characters of all planes. Those that would be cut off or change where they stand alone stand
/// between letters.
fn characters() -> Vec<char> {
    let mut random = Rng::with_seed(20);
    let planes = (0_u32..=0x10).flat_map(|plane| {
        let edges = [0, 1, 0x0bb7, 0xfffd, 0xfffe, 0xffff];
        let others: Vec<u32> = (0..PER_PLANE).map(|_| random.u32(..0x1_0000)).collect();
        edges.into_iter().chain(others).map(move |unit| plane << 16 | unit)
    });
    planes.filter_map(char::from_u32).filter(|c| !c.is_control()).collect()
}

fn sync(sandbox: &Sandbox, name: &str, content: &str) -> Report {
    sandbox.drop_file(name, content);
    let report = sandbox.sync_with(&[("TIDEGATE_REJECTS_MAX_PERCENT", "100")]);
    assert_eq!(report.exit, 0, "{:?} {}", report.files, report.stderr);
    report
}

scenario!(characters_of_every_plane_are_the_same_however_they_are_written);
fn characters_of_every_plane_are_the_same_however_they_are_written(sandbox: &Sandbox) {
    let object = |write: &dyn Fn(&str) -> String, (number, c): (usize, &char)| {
        let [key, text, city] = [format!("{number}k{c}k"), format!("{c}"), format!("x{c}{c}y")]
            .map(|text| write(&text));
        let note = write("\"quoted\" \\ two\nlines \u{20bb7}");
        format!(
            "{{\"Customer ID\": \"{key}\", \"Language\": \"{text}\", \"Address\": {{\"City\": \"{city}\"}}, \"Memo\": \"{note}\"}}\n"
        )
    };
    let plain = |text: &str| {
        let json = serde_json::to_string(text).expect("text is JSON");
        json[1..json.len() - 1].to_owned()
    };
    let characters = characters();
    let rows = |write: &dyn Fn(&str) -> String| -> String {
        characters.iter().enumerate().map(|numbered| object(write, numbered)).collect()
    };
    sync(sandbox, CUSTOMERS, &rows(&|text| escaped(text)));
    sync(sandbox, "Market 2 Customers.ndjson", &rows(&plain));
    let of_market = |market: u8| {
        let columns = "customer_id, language, address_city, memo";
        sandbox.rows(&format!(
            "SELECT {columns} FROM customers WHERE market = '{market}' ORDER BY customer_id"
        ))
    };
    assert_eq!(of_market(1).len(), characters.len());
    for (one, other) in of_market(1).iter().zip(&of_market(2)) {
        assert_eq!(one, other);
    }
    let japanese = "SELECT language FROM customers WHERE market = '1' AND language = '\u{20bb7}'";
    assert_eq!(sandbox.rows(japanese), ["\u{20bb7}"]);
}

scenario!(names_of_members_are_the_same_however_they_are_written);
fn names_of_members_are_the_same_however_they_are_written(sandbox: &Sandbox) {
    // A column has no letter beyond the Basic Multilingual Plane in its name.
    let (name, column) = ("𠮷größe", "größe");
    sync(
        sandbox,
        CUSTOMERS,
        &format!("{{\"Customer ID\": \"1\", \"{}\": \"as escapes\"}}\n", escaped(name)),
    );
    sync(sandbox, CUSTOMERS, &format!("{{\"Customer ID\": \"2\", \"{name}\": \"as they are\"}}\n"));
    assert!(
        sandbox.columns("customers").contains(&column.to_owned()),
        "{:?}",
        sandbox.columns("customers")
    );
    let quote = if sandbox.engine == Engine::Mariadb { '`' } else { '"' };
    let stored =
        sandbox.rows(&format!("SELECT {quote}{column}{quote} FROM customers ORDER BY customer_id"));
    assert_eq!(stored, ["as escapes", "as they are"]);
}

scenario!(half_a_pair_is_no_character_and_rejects_its_object);
fn half_a_pair_is_no_character_and_rejects_its_object(sandbox: &Sandbox) {
    let objects = [
        r#"{"Customer ID": "1", "Language": "a\ud842b"}"#,
        r#"{"Customer ID": "2", "Tags": ["fine", "\udfb7"]}"#,
        r#"{"Customer ID": "3", "Language": "en", "na\ud842me": 1}"#,
        r#"{"Customer ID": "4\ud842", "Language": "en"}"#,
        r#"{"Customer ID": "5", "Address": {"City": "\ud842\ud842"}}"#,
        r#"{"Customer ID": "6", "Language": "no escape: \\ud842", "Tags": ["\ud842\udfb7"]}"#,
    ];
    let report = sync(sandbox, CUSTOMERS, &objects.join("\n"));
    assert_eq!(report.file(CUSTOMERS).counts["rejected"], 5, "{report:?}");
    let stored = sandbox.rows("SELECT customer_id, language, tags FROM customers");
    assert_eq!(stored, [r#"6|no escape: \ud842|["\ud842\udfb7"]"#]);
    let rejects =
        sandbox.rows("SELECT r.row_number, column_name, reason FROM tidegate_rejects r ORDER BY 1");
    for (reject, start) in
        rejects.iter().zip(["1|language|", "2|tags|", "3|-|", "4|customer_id|", "5|address_city|"])
    {
        assert!(reject.starts_with(start), "{reject}");
        assert!(
            reject.contains("surrogate pair") || reject.contains("not text that can be decoded"),
            "{reject}"
        );
    }
}
