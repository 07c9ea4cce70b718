//! Shifted rows: unquoted delimiters in a text column are put back where the other columns leave
//! one way.

use crate::sandbox::{FileReport, Sandbox, table};

const NAME: &str = "Market 1 Deliveries.csv";
const HEADER: &str = "Task_ID,Order_ID,Notes,Agent_ID,Distance(m),Task_Status,Custom_Template_ID,Task_Details_QTY,\
    Task_Details_AMOUNT,Special_Instructions,Tip,Subtotal,Payment_Type,,";

/// A row with these notes and instructions, as an export that quotes nothing writes it.
fn row(task: &str, notes: &str, instructions: &str) -> String {
    format!(
        "{task},\"YR-1,0\",{notes},1190010,-,Completed,Order_Details,5,KSh 10.00,{instructions},KSh 0.00,4350,CASH,,"
    )
}

fn synced(sandbox: &Sandbox, rows: &[String]) -> FileReport {
    let lines: Vec<&str> = std::iter::once(HEADER).chain(rows.iter().map(String::as_str)).collect();
    sandbox.drop_file(NAME, &table(&lines));
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(NAME).outcome, "synced", "{report:?}");
    report.file(NAME).clone()
}

scenario!(commas_in_one_or_both_text_columns_are_put_back);
fn commas_in_one_or_both_text_columns_are_put_back(sandbox: &Sandbox) {
    let texts = [
        ("ring", "wait"),
        ("by 12,30pm", "-"),
        ("-", "by 12,30pm"),
        ("call 0800,123", "-"),
        ("call 0800,123", "call 0800,123"),
        ("ring, wait, leave at gate", "ring, wait, leave at gate"),
        ("-", "a,b,c,d,e"),
        ("a,b,c,d,e", "x"),
        ("a,b,c,d,e", "a,b,c,d,e"),
        ("6\" pipe, long", "say \"hi\", twice"),
    ];
    let rows: Vec<String> = texts
        .iter()
        .zip(10..)
        .map(|((notes, instructions), task)| row(&task.to_string(), notes, instructions))
        .collect();
    let report = synced(sandbox, &rows);
    assert_eq!((report.counts["repaired"], report.counts["rejected"]), (9, 0));
    let stored = sandbox.rows(
            "SELECT notes, special_instructions, agent_id, task_status, tip, subtotal, payment_type, _rescued FROM deliveries ORDER BY task_id",
        );
    let rest = "1190010|Completed|0|4350|CASH|-";
    let expected: Vec<String> = texts
        .iter()
        .map(|(notes, instructions)| format!("{notes}|{instructions}|{rest}"))
        .collect();
    assert_eq!(stored, expected);
    assert_eq!(
        sandbox.rows("SELECT SUM(task_details_amount), SUM(task_details_qty) FROM delivery_items"),
        ["100|50"]
    );
    assert_eq!(sandbox.rows("SELECT rows_repaired, rows_rejected FROM tidegate_files"), ["9|0"]);
}

scenario!(a_repaired_row_is_the_row_that_was_meant);
fn a_repaired_row_is_the_row_that_was_meant(sandbox: &Sandbox) {
    synced(sandbox, &[row("1", "by 12,30pm", "a, b"), row("2", "x", "y")]);
    let report = synced(sandbox, &[row("1", "\"by 12,30pm\"", "\"a, b\""), row("2", "x", "\"y\"")]);
    assert_eq!((report.changes(), report.counts["repaired"]), ((0, 0, 4, 0), 0));
}

scenario!(an_identifier_that_lost_its_quotes_keeps_its_comma);
fn an_identifier_that_lost_its_quotes_keeps_its_comma(sandbox: &Sandbox) {
    let unquoted = |row: String| row.replace("\"YR-1,0\"", "YR-1,0");
    let rows = [
        row("10", "ring", "wait"),
        unquoted(row("11", "ring", "wait")),
        unquoted(row("12", "by 12,30pm", "-")),
        unquoted(row("13", "0,leave at door", "a,b")),
        row("14", "ring", "wait").replace("\"YR-1,0\"", "1"),
    ];
    let report = synced(sandbox, &rows);
    assert_eq!((report.counts["repaired"], report.counts["rejected"]), (3, 0));
    assert_eq!(
        sandbox.rows("SELECT task_id, order_id, notes FROM deliveries ORDER BY task_id"),
        ["10|1|ring", "11|1|ring", "12|1|by 12,30pm", "13|1|0,leave at door", "14|1|ring"]
    );
}

scenario!(a_row_that_can_be_read_in_two_ways_or_none_is_a_reject);
fn a_row_that_can_be_read_in_two_ways_or_none_is_a_reject(sandbox: &Sandbox) {
    let mut rows: Vec<String> =
        (100..140).map(|task| row(&task.to_string(), "ring, wait", "x")).collect();
    // All that stands between the two texts is empty, so either may have swallowed the comma.
    rows.push("200,\"YR-1,0\",a,-,-,-,-,-,-,-,b,-,-,-,,".to_owned());
    // No column that may hold a comma explains a sixteenth cell with text in it.
    rows.push("201,\"YR-1,0\",a,1190010,-,Completed,T,5,KSh 1,b,KSh 0,1,CASH,,,9".to_owned());
    rows.push("202,\"YR-1,0\",a,far".to_owned());
    let report = synced(sandbox, &rows);
    assert_eq!((report.counts["repaired"], report.counts["rejected"]), (40, 3));
    assert_eq!(sandbox.rows("SELECT COUNT(*), MAX(task_id) FROM deliveries"), ["40|139"]);
    let rejects =
        sandbox.rows("SELECT r.row_number, reason FROM tidegate_rejects r ORDER BY r.row_number");
    assert!(
        rejects[0].starts_with("41|") && rejects[0].contains("more than one way"),
        "{rejects:?}"
    );
    assert!(
        rejects[0].contains("notes = `a,-`") && rejects[0].contains("special_instructions = `-,b`")
    );
    assert!(rejects[1].starts_with("42|") && rejects[2].starts_with("43|"), "{rejects:?}");
}

scenario!(a_way_that_makes_no_amount_or_takes_a_quoted_cell_is_none);
fn a_way_that_makes_no_amount_or_takes_a_quoted_cell_is_none(sandbox: &Sandbox) {
    const ORDERS: &str = "Market 1 Orders.csv";
    let mut rows = vec![
        "Order ID,Category Name,SKU,Customization Group,Total Price,Promo Code,\
                         Customer ID,Merchant ID,Description"
            .to_owned(),
    ];
    rows.extend((100..140).map(|order| format!("{order},Spices,M1,big,50,,41,70,x")));
    // `Spices, Sauces` fits nowhere but by an amount of `2,25`, which is none where a point stands
    // before decimals.
    rows.push("200,Spices, Sauces,M1,2,25,,c41,70,x".to_owned());
    // `1,250` is one, and there is no other way.
    rows.push("201,Spices,M1,big,1,250,,c41,70,x".to_owned());
    // `SPRING, 5 OFF` moves the ids, until a text in quotes is no more than half of another one.
    rows.push("202,Spices,M1,big,50,SPRING, 5 OFF,41,70,\"Kiosk 14, behind\"".to_owned());
    let lines: Vec<&str> = rows.iter().map(String::as_str).collect();
    sandbox.drop_file(ORDERS, &table(&lines));
    let report = sandbox.sync();
    let counts = &report.file(ORDERS).counts;
    assert_eq!([counts["repaired"], counts["rejected"]], [1, 2], "{report:?}");
    let stored = sandbox.rows("SELECT sku, total_price FROM order_items WHERE order_id >= '200'");
    assert_eq!(stored, ["M1|1250"]);
}

scenario!(a_row_that_fits_is_not_repaired_whatever_it_says);
fn a_row_that_fits_is_not_repaired_whatever_it_says(sandbox: &Sandbox) {
    let odd = "1,\"YR-1,0\",by 12,30pm,far,Lost,T,many,KSh 1,x,KSh 0,1,CASH,,".to_owned();
    let report = synced(sandbox, &[odd]);
    assert_eq!((report.counts["repaired"], report.counts["rejected"]), (0, 0));
    let stored =
        sandbox.rows("SELECT notes, agent_id, task_status, distance_m, _rescued FROM deliveries");
    assert_eq!(stored, [r#"by 12|30pm|Lost|-|{"distance_m":"far"}"#]);
}

scenario!(text_that_looks_like_its_neighbour_is_put_back_or_refused);
/// Any number of delimiters from one to four, in one text or both, whatever the text looks like.
fn text_that_looks_like_its_neighbour_is_put_back_or_refused(sandbox: &Sandbox) {
    // Texts with the values of the columns beside them: an agent, a status, a template, an amount,
    // a payment.
    let pieces = [
        "by 12",
        "30pm",
        "call 0800",
        "123",
        "Completed",
        "Order_Details",
        "KSh 10.00",
        "CASH",
        "1190010",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = |commas: usize| -> String {
        let texts: Vec<&str> = (0..=commas).map(|_| pieces[random.usize(..pieces.len())]).collect();
        texts.join(",")
    };
    let cases: Vec<(String, String)> = (0..5)
        .flat_map(|notes| (0..5).map(move |instructions| (notes, instructions)))
        .cycle()
        .take(200)
        .map(|(notes, instructions)| (text(notes), text(instructions)))
        .collect();
    let rows =
        cases.iter().zip(1000..).map(|((notes, other), task)| row(&task.to_string(), notes, other));
    let rows: Vec<String> =
        rows.chain((5000..9000).map(|task| row(&task.to_string(), "x", "y"))).collect();
    let report = synced(sandbox, &rows);
    let stored = sandbox.rows(
            "SELECT task_id, notes, special_instructions, agent_id, task_status, payment_type FROM deliveries WHERE task_id < '5'",
        );
    for stored in &stored {
        let task: usize = stored[..4].parse().expect("a task");
        let (notes, instructions) = &cases[task - 1000];
        assert_eq!(*stored, format!("{task}|{notes}|{instructions}|1190010|Completed|CASH"));
    }
    let refused = usize::try_from(report.counts["rejected"]).expect("few");
    assert_eq!(stored.len() + refused, cases.len());
    assert!(refused < cases.len() / 4, "{refused} of {} were not put back", cases.len());
}
