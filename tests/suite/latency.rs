//! How soon rows are there, and how many files at once are no trouble. The bounds are generous, so
//! that a slow machine passes too; `--nocapture` shows the figures.

use crate::sandbox::{Engine, Sandbox, wait_for};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

const BURST_FILES: usize = 20_000;

const DROPS: usize = 9;

/// Orders whose export has about 1 MB, all new or all changed against the drop before.
fn megabyte(drop: usize) -> String {
    let mut text = "Order ID,Order Status,SKU,Quantity,Unit Price,Total Price,Order Total,Currency Symbol,Customer ID,\
                    Merchant ID,Description,Order Time\n"
        .to_owned();
    for line in 0..8_000 {
        let (order, first) = (line / 2, if drop.is_multiple_of(3) { drop * 10_000 } else { 0 });
        writeln!(
            text,
            "{},COMPLETED,SKU-{line:05},{},12.50,25.00,{}.00,KSh,{},9,Leave it at the gate and call before you come,\
             2022-02-{:02}T13:07:09.000Z",
            first + order,
            1 + line % 3,
            order + drop,
            order % 700,
            1 + order % 28
        )
        .expect("writing to a string does not fail");
    }
    text
}

#[test]
fn rows_of_a_megabyte_are_there_within_moments() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    let mut took = Vec::new();
    for drop in 0..DROPS {
        let text = megabyte(drop);
        assert!((900_000..1_300_000).contains(&text.len()), "{}", text.len());
        fs::write(sandbox.inbox().join("Market 1 Orders.csv"), text).expect("a writable inbox");
        let closed = Instant::now();
        let total = format!("SELECT COUNT(*) FROM orders WHERE order_total = {}", 3_999 + drop);
        wait_for("the last row of the drop", || sandbox.rows(&total) != ["0"]);
        took.push(closed.elapsed());
        let done = "SELECT COUNT(*) FROM tidegate_files WHERE state = 'synced'";
        wait_for("its marts", || sandbox.rows(done) == [(drop + 1).to_string()]);
    }
    took.sort();
    eprintln!(
        "1 MB of orders visible after: p50 {:?}, max {:?}, all {took:?}",
        took[DROPS / 2],
        took[DROPS - 1]
    );
    assert!(took[DROPS / 2] < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_burst_of_twenty_thousand_files_is_in_the_ledger_in_full() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let mut daemon = sandbox.start_daemon(&[("TIDEGATE_LOG_LEVEL", "error")]);
    daemon.wait_until_ready();
    let started = Instant::now();
    for number in 0..BURST_FILES {
        fs::write(sandbox.inbox().join(format!("note-{number}.txt")), number.to_string())
            .expect("a writable inbox");
    }
    let written = started.elapsed();
    wait_for("all files to be in the ledger", || {
        sandbox.rows("SELECT COUNT(*) FROM tidegate_files WHERE state = 'unmatched'")
            == [BURST_FILES.to_string()]
    });
    eprintln!(
        "{BURST_FILES} files written in {written:?}, all in the ledger {:?} later",
        started.elapsed() - written
    );
    // An orders file is not held up by all the others, and nothing is looked at twice.
    fs::write(sandbox.inbox().join("Market 1 Orders.csv"), megabyte(1)).expect("a writable inbox");
    wait_for("an orders file", || {
        sandbox.rows("SELECT COUNT(*) FROM tidegate_files WHERE state = 'synced'") == ["1"]
    });
    assert_eq!(
        sandbox.rows("SELECT COUNT(*) FROM tidegate_files"),
        [(BURST_FILES + 1).to_string()]
    );
    assert_eq!(daemon.terminate().0, 0);
}
