//! Tests of the transform: what rows of text become in the tables, and what of it is new.

use super::*;
use crate::config::{Config, Overrides};
use crate::feed::layout::Shapes;
use crate::feed::row_format::{CellTypes, Dialect};
use crate::transform::diff::{Known, RowSets, diff};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type};
use entity::market_tables;
use std::sync::Arc;

/// Projects records of a shipped dataset: of each its key, and the cells of its rows behind the
/// key.
fn projected(dataset: &str, header: &str, records: &[(&str, &[&str])]) -> Projected {
    let config = Config::load(&Overrides::default()).expect("the shipped configuration");
    let is_meant = |found: &&Arc<Dataset>| found.name == dataset;
    let dataset = config.datasets.iter().find(is_meant).expect("it is shipped");
    let shapes: Shapes =
        market_tables().into_iter().map(|shape| (shape.name.clone(), shape)).collect();
    let header: Vec<String> = header.split(',').map(str::to_owned).collect();
    let layout = Layout::of_header(&header, dataset, &shapes);
    let mut chunk = Chunk::default();
    for (key, rows) in records {
        let first = chunk.numbers.len();
        for row in *rows {
            chunk.bytes.extend(format!("{key},{row}\n").bytes());
            chunk.numbers.push(chunk.numbers.len() as u64 + 1);
        }
        chunk.keys.push((*key).to_owned());
        chunk.records.push(first..chunk.numbers.len());
    }
    chunk.rows_read = chunk.numbers.len() as u64;
    let dialect = Dialect {
        delimiter: b',',
        quote: b'"',
        row_bytes_max: 1000,
        padding: 0,
        types: CellTypes::None,
    };
    transform(chunk, RowFormat::Csv(dialect), &layout, dataset, "1")
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let values = batch.column_by_name(column).expect("the table has it").as_string::<i32>();
    values.iter().map(|value| value.map(str::to_owned)).collect()
}

fn numbers(batch: &RecordBatch, column: &str) -> Vec<i64> {
    let values = batch.column_by_name(column).expect("the table has it");
    values.as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn what_does_not_fit_its_column_is_null_and_kept_as_it_was() {
    let rows = projected(
        "orders",
        "Order ID,Order Total,Order Status",
        &[("1", &["12.50,COMPLETED"]), ("2", &["twelve,-"])],
    );
    let batch = &rows.records.batch;
    let totals = batch.column_by_name("order_total").expect("the table has it");
    let totals: Vec<Option<i128>> = totals.as_primitive::<Decimal128Type>().iter().collect();
    assert_eq!(totals, [Some(125_000), None]);
    assert_eq!(texts(batch, "order_status"), [Some("COMPLETED".to_owned()), None]);
    assert_eq!(texts(batch, "_rescued"), [None, Some(r#"{"order_total":"twelve"}"#.to_owned())]);
    assert_eq!(rows.rows_rescued, 1);
}

#[test]
fn a_record_takes_the_last_value_there_is_and_says_where_its_rows_disagree() {
    let rows = projected(
        "orders",
        "Order ID,Order Status,SKU",
        &[("1", &["PLACED,a", "COMPLETED,b", ",c"]), ("2", &["PLACED,a", ",b"])],
    );
    let statuses = [Some("COMPLETED".to_owned()), Some("PLACED".to_owned())];
    assert_eq!(texts(&rows.records.batch, "order_status"), statuses);
    assert_eq!(numbers(&rows.records.batch, "line_count"), [3, 2]);
    assert_eq!(rows.records_disagreeing, 1);
}

#[test]
fn equal_rows_of_an_order_are_one_line_and_those_of_a_task_are_two() {
    let orders = projected("orders", "Order ID,SKU", &[("1", &["a", "b", "a"])]);
    let lines = orders.lines.expect("orders have lines");
    assert_eq!(numbers(&lines.batch, "line_no"), [1, 2]);
    assert_eq!((orders.rows_read, orders.rows_duplicate), (3, 1));
    let tasks = projected("deliveries", "Task_ID,Task_Details_QTY", &[("1", &["2", "3", "2"])]);
    let lines = tasks.lines.expect("deliveries have lines");
    assert_eq!(numbers(&lines.batch, "line_no"), [1, 2, 3]);
    assert_eq!((tasks.rows_read, tasks.rows_duplicate), (3, 0));
}

#[test]
fn rows_are_told_by_their_hashes_and_lines_that_are_gone_are_removed() {
    let header = "Order ID,Order Status,SKU";
    let orders: [(&str, &[&str]); 4] = [
        ("new", &["PLACED,a"]),
        ("same", &["PLACED,a", "PLACED,b"]),
        ("less", &["PLACED,a"]),
        ("stale", &["PLACED,a", "PLACED,b"]),
    ];
    let rows = projected("orders", header, &orders);
    let lines = rows.lines.as_ref().expect("orders have lines");
    let mut known = Known::nothing(4);
    let other = [7; 32];
    known.add_record(1, rows.records.hashes[1], 5);
    known.add_lines(1, [(2, lines.hashes[2]), (1, lines.hashes[1])]);
    known.add_record(2, other, 5);
    known.add_lines(2, [(1, other), (2, other), (3, other)]);
    known.add_record(3, other, 9);
    known.add_lines(3, [(1, other)]);
    let changes = diff(&rows, &known, |_| true, |_, file_id| file_id < 9, |_| false);
    assert_eq!(changes.winners, [0, 1, 2]);
    assert_eq!(changes.records, RowSets { new: vec![0], changed: vec![2], unchanged: 1 });
    assert_eq!(changes.lines, RowSets { new: vec![0], changed: vec![3], unchanged: 2 });
    assert_eq!(changes.removed_lines, [("less".to_owned(), 2), ("less".to_owned(), 3)]);
    assert_eq!(changes.stale, 3);

    let kept = diff(&rows, &known, |_| false, |_, _| true, |_| true);
    assert_eq!((kept.winners, kept.removed_lines), (vec![1, 2, 3], Vec::new()));
}
