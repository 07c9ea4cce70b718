//! Records that stand in an export as they stood in the last one are passed by, and nothing comes
//! out otherwise.

use crate::sandbox::{Engine, Sandbox, table};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";

/// What keeps the index from being made or asked.
const WITHOUT_INDEX: [(&str, &str); 1] = [("TIDEGATE_RECORD_INDEX_BYTES_MIN", "1000000000")];

const FIRST: [&str; 9] = [
    "Order ID,SKU,Quantity,Total Price,Order Total,Description,Currency Symbol,Customer ID",
    "11,A,1,10,30,by noon,KSh,7",
    "11,B,2,20,30,by noon,KSh,7",
    "12,A,5,50,50,one, two, three,KSh,8",
    "13,C,1,5,5,,KSh,9",
    "13,C,1,5,5,,KSh,9",
    "13,D,1,5,5,other words,KSh,9",
    "14,E,1,1,9x,,KSh,9",
    "15,E,1,1,1,,KSh,9",
];

/// Spoils what is stored of order 11 so that whoever looks it up writes it again.
fn spoil(sandbox: &Sandbox) {
    let none = if sandbox.engine == Engine::Postgres { "'\\x00'::bytea" } else { "x'00'" };
    sandbox.execute(&format!("UPDATE orders SET _row_hash = {none} WHERE order_id = '11'"));
}

fn changes(sandbox: &Sandbox, name: &str, lines: &[&str]) -> (u64, u64, u64, u64) {
    sandbox.drop_file(name, &table(lines));
    let report = sandbox.sync();
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report.file(name).changes()
}

fn with(lines: &[&'static str], more: &'static str) -> Vec<&'static str> {
    lines.iter().copied().chain([more]).collect()
}

scenario!(a_record_that_stands_as_it_stood_is_not_looked_up);
fn a_record_that_stands_as_it_stood_is_not_looked_up(sandbox: &Sandbox) {
    assert_eq!(changes(sandbox, ORDERS, &FIRST), (12, 0, 0, 0));
    spoil(sandbox);
    assert_eq!(changes(sandbox, ORDERS, &with(&FIRST, "16,F,1,1,1,,KSh,9")), (2, 0, 12, 0));
    // Without the index, which may be removed at any time, it is.
    fs::remove_dir_all(sandbox.state_dir().join("record-indexes")).expect("it was made");
    assert_eq!(changes(sandbox, ORDERS, &with(&FIRST, "17,F,1,1,1,,KSh,9")), (2, 1, 11, 0));
}

scenario!(the_counts_of_a_file_are_the_same_with_and_without_the_index);
fn the_counts_of_a_file_are_the_same_with_and_without_the_index(sandbox: &Sandbox) {
    changes(sandbox, ORDERS, &FIRST);
    let mut again = FIRST.to_vec();
    again.push("");
    changes(sandbox, ORDERS, &again);
    let counts = "SELECT rows_read, rows_accepted, rows_duplicate, rows_rejected, rows_repaired, rows_unchanged FROM tidegate_files ORDER BY id";
    assert_eq!(sandbox.rows(counts), ["8|7|1|0|1|0", "8|7|1|0|1|12"]);
}

scenario!(an_index_is_not_believed_once_another_file_changed_the_rows);
fn an_index_is_not_believed_once_another_file_changed_the_rows(sandbox: &Sandbox) {
    changes(sandbox, "market-1-orders-2024-03-02.csv", &FIRST);
    spoil(sandbox);
    // A late export adds an order that nobody knew.
    changes(sandbox, "market-1-orders-2024-03-01.csv", &with(&FIRST[..1], "20,F,1,1,1,,KSh,9"));
    let again = with(&FIRST, "21,F,1,1,1,,KSh,9");
    assert_eq!(changes(sandbox, "market-1-orders-2024-03-03.csv", &again), (2, 1, 11, 0));
}

scenario!(an_index_is_not_believed_for_another_database);
fn an_index_is_not_believed_for_another_database(sandbox: &Sandbox) {
    changes(sandbox, ORDERS, &FIRST);
    let other = sandbox.sibling();
    let index = |sandbox: &Sandbox| sandbox.state_dir().join("record-indexes");
    fs::create_dir_all(index(&other)).expect("a writable directory");
    for entry in fs::read_dir(index(sandbox)).expect("it was made") {
        let path = entry.expect("a readable directory").path();
        fs::copy(&path, index(&other).join(path.file_name().expect("a file")))
            .expect("a writable directory");
    }
    assert_eq!(changes(&other, ORDERS, &FIRST), (12, 0, 0, 0));
}

/// What is done to an export, and its name.
type Edit = (&'static str, fn(&mut Vec<String>));

scenario!(nothing_comes_out_otherwise_however_the_export_changed);
/// Whatever becomes of the file, tables and counts are those of a sync that never had an index.
fn nothing_comes_out_otherwise_however_the_export_changed(sandbox: &Sandbox) {
    let edits: [Edit; 10] = [
        ("a blank line between the lines of an order", |lines| lines.insert(2, String::new())),
        ("a blank line before an order", |lines| lines.insert(3, String::new())),
        ("a line of an order far from the others", |lines| {
            lines.push("11,Z,1,1,30,by noon,KSh,7".to_owned());
        }),
        ("an order's line moved to the end", |lines| {
            let line = lines.remove(1);
            lines.push(line);
        }),
        ("orders the other way round", |lines| lines[1..].reverse()),
        ("an order less", |lines| drop(lines.remove(3))),
        ("a column more", |lines| lines.iter_mut().for_each(|line| line.push_str(",9"))),
        ("a column less", |lines| {
            for line in lines.iter_mut() {
                let end = line.rfind(',').expect("it has cells");
                line.truncate(end);
            }
        }),
        ("a row that cannot be loaded in an order that was there", |lines| {
            lines.insert(3, "11,B,2,20,30,by\0noon,KSh,7".to_owned());
        }),
        ("the header again", |lines| lines.insert(4, lines[0].clone())),
    ];
    for (number, (what, edit)) in edits.iter().enumerate() {
        let name = format!("Market {number} Orders.csv");
        let mut second: Vec<String> = FIRST.map(str::to_owned).to_vec();
        edit(&mut second);
        let second: Vec<&str> = second.iter().map(String::as_str).collect();
        let third = FIRST.map(|line| line.replace("12,A,5", "12,A,6"));
        let third: Vec<&str> = third.iter().map(String::as_str).collect();
        let plain = sandbox.sibling();
        for lines in [&FIRST[..], &second, &third, &FIRST[..]] {
            let mut counts = Vec::new();
            for (sandbox, environment) in [(sandbox, &[][..]), (&plain, &WITHOUT_INDEX[..])] {
                sandbox.drop_file(&name, &table(lines));
                let mut counted = sandbox.sync_with(environment).file(&name).counts.clone();
                counted.retain(|name, _| !name.ends_with("_ms"));
                counts.push(counted);
            }
            assert_eq!(counts[0], counts[1], "{what}");
        }
        let rows = format!(
            "SELECT order_id, line_no, sku, quantity, total_price FROM order_items WHERE market = '{number}' ORDER BY order_id, line_no"
        );
        assert_eq!(sandbox.rows(&rows), plain.rows(&rows), "{what}");
    }
    assert_eq!(
        sandbox.command(&["verify"]).status().expect("the built program starts").code(),
        Some(0)
    );
}
