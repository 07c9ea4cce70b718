//! A file of many chunks, read twice and with records scattered all over it, is no different from a
//! small one.

use crate::sandbox::Sandbox;
use std::collections::BTreeMap;
use std::fmt::Write;

const NAME: &str = "Market 1 Orders.csv";

/// The least memory there can be: content over 8 MiB is read anew each time, and a chunk has 512
/// KiB.
const SMALL_MEMORY: [(&str, &str); 1] = [("TIDEGATE_MEMORY_MAX_MB", "64")];

const ORDERS: u32 = 9_000;

/// Makes rows long, so that few of them are many bytes.
const DESCRIPTION_CHARS: usize = 400;

/// One row of the file.
#[derive(Clone, Debug)]
struct Row {
    order: u32,
    sku: u32,
    quantity: u32,
}

/// Two or three rows an order; of every fourth order the last row stands at the end of the file,
/// and of every eighth one a row is there twice, far apart.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut end = Vec::new();
    for order in 0..ORDERS {
        let row = |line: u32| Row { order, sku: order % 97 + line, quantity: line + 1 };
        rows.extend((0..1 + order % 2).map(row));
        let last = row(2);
        if order % 8 == 0 {
            end.push(row(0));
        }
        if order % 4 == 0 { end.push(last) } else { rows.push(last) }
    }
    // From the back, so that the scattered records end in another order than they began in.
    rows.extend(end.into_iter().rev());
    rows
}

fn text(rows: &[Row]) -> String {
    let description = "d".repeat(DESCRIPTION_CHARS);
    let mut text =
        "Order ID,SKU,Quantity,Total Price,Description,Currency Symbol,Customer ID\n".to_owned();
    for Row { order, sku, quantity } in rows {
        let customer = order % 1000;
        writeln!(text, "{order},S{sku},{quantity},{quantity}.25,{description},KSh,C{customer}")
            .expect("memory");
    }
    text
}

/// The items that the rows mean, in the order of `SELECT … ORDER BY order_id, line_no` by bytes.
fn expected_items(rows: &[Row]) -> Vec<String> {
    let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Row { order, sku, quantity } in rows {
        let lines = orders.entry(order.to_string()).or_default();
        let line = format!("S{sku}|{quantity}|{quantity}.25");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let of_order = |(order, lines): (String, Vec<String>)| {
        lines
            .into_iter()
            .zip(1..)
            .map(move |(line, number)| format!("{order}|{number}|{line}"))
            .collect::<Vec<_>>()
    };
    orders.into_iter().flat_map(of_order).collect()
}

fn items(sandbox: &Sandbox) -> Vec<String> {
    sandbox.rows("SELECT order_id, line_no, sku, quantity, total_price FROM order_items ORDER BY order_id, line_no")
}

scenario!(a_large_file_with_scattered_records_becomes_what_its_rows_say);
fn a_large_file_with_scattered_records_becomes_what_its_rows_say(sandbox: &Sandbox) {
    let first = rows();
    let duplicates = u64::from(ORDERS / 8);
    let mut second = first.clone();
    // The last row of the file is of order 0; the middle one is not scattered, or else the end of
    // the file.
    second.last_mut().expect("there are rows").quantity = 77;
    let middle = first.len() / 2;
    second.remove(middle);
    let content = text(&first);
    assert!(content.len() > 8 << 20, "{} bytes are kept in memory", content.len());
    sandbox.drop_file(NAME, &content);
    let report = sandbox.sync_with(&SMALL_MEMORY);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    let counts = &report.file(NAME).counts;
    assert_eq!(
        (counts["read"], counts["duplicate"], counts["rejected"]),
        (first.len() as u64, duplicates, 0)
    );
    let expected = expected_items(&first);
    assert_eq!(report.file(NAME).changes(), (expected.len() as u64 + u64::from(ORDERS), 0, 0, 0));
    assert!(items(sandbox) == expected, "the items are not what the rows say");
    let disagreeing = "SELECT COUNT(*) FROM orders o WHERE line_count <> (SELECT COUNT(*) FROM order_items i WHERE i.market = o.market AND i.order_id = o.order_id)";
    assert_eq!(sandbox.rows(disagreeing), ["0"]);

    sandbox.drop_file(NAME, &text(&second));
    let report = sandbox.sync_with(&SMALL_MEMORY);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    let expected = expected_items(&second);
    assert!(
        items(sandbox) == expected,
        "the items are not what the rows of the second version say"
    );
    let (new, modified, unchanged, deleted) = report.file(NAME).changes();
    assert!(new <= 1 && modified <= 4 && deleted == 1, "{:?}", report.file(NAME));
    assert_eq!(new + modified + unchanged, expected.len() as u64 + u64::from(ORDERS));

    // With memory to spare there is one chunk, and no difference.
    let roomy = sandbox.sibling();
    roomy.drop_file(NAME, &text(&second));
    assert_eq!(roomy.sync().exit, 0);
    assert_eq!(roomy.dump(), sandbox.dump());
    assert_eq!(sandbox.sync_with(&SMALL_MEMORY).file(NAME).outcome, "unchanged");
}
