//! Together: orders and deliveries of a first load, side by side. No mart is computed before the
//! indexes that it is computed by are there, and a mart that takes long says so and ends when it is
//! told to.

use crate::exports::{Background, SMALL_CHUNKS};
use crate::marts::check;
use crate::sandbox::{Engine, Report, Sandbox, wait_for};
use crate::shop::Shop;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate::sink::db::dialect::Dialect;
use tidegate::sink::marts::definition::Definitions;
use tidegate::sink::marts::template::{Rendered, Scope, render, render_over};
use tidegate::sink::tables::declared_shapes;

/// The longest that a stop may take: `daemon::DRAIN_MAX`.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Rows of a file of two chunks, which ends well before one of many.
const FEW: u32 = 6_000;
const MANY: u32 = 20_000;

const DEBUG_LOG: [(&str, &str); 2] =
    [("TIDEGATE_LOG_LEVEL", "debug"), ("TIDEGATE_LOG_FORMAT", "json")];

fn drop_files(sandbox: &Sandbox, shop: &Shop) {
    sandbox.drop_file("Market 1 Orders.csv", &shop.orders_csv());
    sandbox.drop_file("Market 1 Deliveries.csv", &shop.deliveries_csv());
}

/// Numbers of the log's lines that hold all of these words.
fn lines_with(log: &str, words: &[&str]) -> Vec<usize> {
    let has_words = |line: &str| words.iter().all(|word| line.contains(word));
    log.lines().enumerate().filter(|(_, line)| has_words(line)).map(|(number, _)| number).collect()
}

/// Each file waits before it writes, so that the one with fewer chunks ends first.
fn load(sandbox: &Sandbox, orders: u32, tasks: u32, failpoints: &str) -> String {
    let shop = Shop::large(orders, tasks);
    drop_files(sandbox, &shop);
    let [level, format] = DEBUG_LOG;
    let report = sandbox.sync_with(&[SMALL_CHUNKS, level, format, ("FAILPOINTS", failpoints)]);
    assert_eq!(report.exit, 0, "{}", report.stderr);
    check(sandbox, "1", &shop, "after a first load");
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_dirty_groups"), ["0"]);
    report.stderr
}

scenario!(orders_and_deliveries_load_side_by_side);
fn orders_and_deliveries_load_side_by_side(sandbox: &Sandbox) {
    for (orders, tasks) in [(FEW, MANY), (MANY, FEW)] {
        let sandbox = sandbox.sibling();
        let log = load(&sandbox, orders, tasks, "before_write=sleep(150)");
        let refreshed = lines_with(&log, &["mart refreshed", "customer_metrics"]);
        assert_eq!(refreshed.len(), 1, "both files are in one computation: {log}");
        if sandbox.engine == Engine::Mariadb {
            // Its indexes come with the tables.
            continue;
        }
        for table in ["\"orders\"", "\"deliveries\""] {
            let indexed = lines_with(&log, &["indexes made", table]);
            assert!(
                indexed.first().is_some_and(|&indexed| indexed < refreshed[0]),
                "{table}: {log}"
            );
        }
    }
}

scenario!(who_waits_for_a_filling_waits_a_bounded_time: sqlite, postgres);
/// A file that goes on for long does not hold up the others: its table gets indexes while it is
/// filled.
fn who_waits_for_a_filling_waits_a_bounded_time(sandbox: &Sandbox) {
    // Long enough for both to have rows when the first one ends, however long the looks take.
    let log =
        load(sandbox, FEW, MANY + MANY / 2, "before_write=sleep(400);filling_wait_max=return");
    let indexed = lines_with(&log, &["indexes made", "\"deliveries\""]);
    let committed = lines_with(&log, &["chunk committed"]);
    assert!(indexed.first() < committed.last(), "it is filled on: {log}");
    assert_eq!(lines_with(&log, &["gets its indexes while it is filled"]).len(), 1, "{log}");
}

/// A scratch database is filled by no file.
#[test]
fn a_plan_makes_indexes_before_it_computes_marts() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let shop = Shop::large(2_000, 2_000);
    drop_files(&sandbox, &shop);
    assert_eq!(sandbox.sync().exit, 0);
    let mut plan = sandbox.command(&["plan", &sandbox.inbox().to_string_lossy()]);
    let planned = Report::of(&plan.envs(DEBUG_LOG).output().expect("the built program starts"));
    assert_eq!(planned.exit, 0, "{}", planned.stderr);
    let refreshed = lines_with(&planned.stderr, &["mart refreshed", "customer_metrics"]);
    let indexed = lines_with(&planned.stderr, &["indexes made", "\"deliveries\""]);
    assert!(indexed.len() == 1 && indexed[0] < refreshed[0], "{}", planned.stderr);
}

/// Of a mart of one's own that would take for ever.
const SLOW_METRICS: &str = "/*
mart  = \"slow_metrics\"
key   = [\"market\", \"order_id\"]
group = \"order_id\"
[columns]
market   = \"identifier\"
order_id = \"identifier\"
steps    = \"bigint\"
[touched_by]
orders = \"SELECT o.order_id AS group_key FROM orders o WHERE {{ records('o.market', 'o.order_id') }}\"
*/
SELECT o.market, o.order_id,
       {% if dialect == 'sqlite' %}
       (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) SELECT MAX(i) FROM n)
       {% elif dialect == 'postgres' %}
       length(pg_sleep(600)::text)
       {% else %}
       BENCHMARK(1000000000000, MD5(o.order_id))
       {% endif %} AS steps
FROM   orders o
WHERE  {{ touched('o.market', 'o.order_id') }}
";

scenario!(a_stop_ends_a_long_refresh_within_seconds);
fn a_stop_ends_a_long_refresh_within_seconds(sandbox: &Sandbox) {
    let directory = sandbox.path("marts");
    fs::create_dir_all(&directory).expect("the sandbox can be written to");
    fs::write(directory.join("slow_metrics.sql"), SLOW_METRICS)
        .expect("the sandbox can be written to");
    let directory = directory.to_str().expect("a path is text").to_owned();
    let shop = Shop::large(50, 50);
    drop_files(sandbox, &shop);
    let [level, format] = DEBUG_LOG;
    let environment = [level, format, ("TIDEGATE_MARTS_DIR", directory.as_str())];
    let is_computing = |log: &str| !lines_with(log, &["step begun", "slow_metrics"]).is_empty();

    for signal in ["-INT", "-TERM"] {
        let command = sandbox.command(&["sync", &sandbox.inbox().to_string_lossy()]);
        let mut sync = Background::start(sandbox, command, &environment);
        wait_for("the slow mart", || is_computing(&sync.log()));
        let started = Instant::now();
        let id = sync.id().to_string();
        assert!(
            Command::new("kill").args([signal, &id]).status().is_ok_and(|status| status.success())
        );
        assert_eq!(sync.finish(), 1, "{}", sync.log());
        assert!(started.elapsed() < STOP_MAX, "{:?}: {}", started.elapsed(), sync.log());
        assert!(!sync.log().contains("the lease was not given up"), "{}", sync.log());
    }
    let mut daemon = sandbox.start_daemon(&environment);
    wait_for("the slow mart", || is_computing(&daemon.log()));
    let (exit, elapsed) = daemon.terminate();
    assert!(exit == 0 && elapsed < STOP_MAX, "{exit}, {elapsed:?}: {}", daemon.log());

    // Nothing was lost, and nothing is still at work that would hold up the next one.
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    check(sandbox, "1", &shop, "after a stop");
}

/// Also where nobody asked for a log.
#[test]
fn a_step_that_takes_long_says_so() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    sandbox.drop_file("marts/slow_metrics.sql", SLOW_METRICS);
    drop_files(&sandbox, &Shop::large(5, 5));
    let directory = sandbox.inbox().join("marts").to_string_lossy().into_owned();
    let command = sandbox.command(&["sync", &sandbox.inbox().to_string_lossy()]);
    let sync = Background::start(&sandbox, command, &[("TIDEGATE_MARTS_DIR", &directory)]);
    wait_for("a word of the slow mart", || {
        sync.log().contains("computing slow_metrics of market 1")
    });
}

/// Read for each row of `latest_orders`, which has one a market.
const ONCE_A_MARKET: &str = "SEARCH m USING INDEX sqlite_autoindex_customer_metrics_1 (market=?)";

/// A line of SQLite's EXPLAIN QUERY PLAN.
struct Node {
    id: i64,
    parent: i64,
    detail: String,
}

fn plan_of(sandbox: &Sandbox, sql: &str) -> Vec<Node> {
    let node = |row: String| {
        let cells: Vec<&str> = row.splitn(4, '|').collect();
        let number = |at: usize| cells[at].parse().expect("SQLite numbers its nodes");
        Node { id: number(0), parent: number(1), detail: cells[3].to_owned() }
    };
    sandbox.rows(&format!("EXPLAIN QUERY PLAN {sql}")).into_iter().map(node).collect()
}

/// Steps that read a table of a market in a loop over other rows, and do not look rows up by more
/// than the market.
fn loops_without_key(nodes: &[Node], reads_market: bool) -> Vec<&str> {
    let parent_of = |node: &Node| nodes.iter().find(|other| other.id == node.parent);
    let is_read =
        |node: &&Node| node.detail.starts_with("SCAN ") || node.detail.starts_with("SEARCH ");
    let is_outermost = |node: &Node| {
        let is_repeated =
            parent_of(node).is_some_and(|parent| parent.detail.contains("CORRELATED"));
        !is_repeated
            && nodes
                .iter()
                .filter(is_read)
                .find(|other| other.parent == node.parent)
                .map(|first| first.id)
                == Some(node.id)
    };
    let is_by_key = |node: &Node| {
        node.detail.starts_with("SEARCH ")
            && (node.detail.contains(" AND ") || node.detail.contains("AUTOMATIC"))
    };
    // Rows that the query itself has made are no more than it made.
    let is_computed =
        |node: &Node| node.detail.starts_with("SCAN ") && !node.detail.contains("INDEX");
    let reads = nodes.iter().filter(is_read);
    let is_wrong = |node: &&Node| match is_outermost(node) {
        true => !reads_market && !is_by_key(node) && !is_computed(node),
        false => !is_by_key(node) && node.detail != ONCE_A_MARKET,
    };
    reads.filter(is_wrong).map(|node| node.detail.as_str()).collect()
}

fn with_values(query: &Rendered) -> String {
    let mut values = query.binds.iter();
    let mut sql = String::new();
    for part in query.sql.split('?') {
        if !sql.is_empty() {
            let Some(sea_orm::Value::String(Some(text))) = values.next() else {
                panic!("{query:?}")
            };
            sql.push_str(&format!("'{text}'"));
        }
        sql.push_str(part);
    }
    sql
}

/// Not by the clock: by what the planner says that it would do.
#[test]
fn every_query_of_marts_and_views_goes_by_keys() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    drop_files(&sandbox, &Shop::large(20, 20));
    assert_eq!(sandbox.sync().exit, 0);
    let definitions = Definitions::load(None).expect("the shipped definitions are right");
    let shapes = Arc::new(declared_shapes());
    let keys = ["c1", "c2"].map(str::to_owned).to_vec();
    let queries = |scope: &Scope| {
        let mut queries = Vec::new();
        for mart in &definitions.marts {
            let totals = mart.partial.as_ref().map(|partial| partial.totals.name.clone());
            let groups =
                render_over(&mart.file, &mart.body, totals, Dialect::Sqlite, &shapes, scope);
            let parts = mart
                .partial
                .iter()
                .map(|partial| render(&mart.file, &partial.body, Dialect::Sqlite, &shapes, scope));
            let touched = mart
                .touched_by
                .values()
                .map(|query| render(&mart.file, query, Dialect::Sqlite, &shapes, scope));
            for query in [groups].into_iter().chain(parts).chain(touched) {
                queries.push((
                    mart.file.clone(),
                    with_values(&query.expect("the shipped templates are right")),
                ));
            }
        }
        queries
    };
    let groups = queries(&Scope::Keys("1".to_owned(), keys));
    let market = queries(&Scope::Market("1".to_owned()));
    let views = definitions
        .views
        .iter()
        .map(|view| (view.file.clone(), format!("SELECT * FROM {}", view.name)));
    let views: Vec<(String, String)> = views.collect();
    let ask = |queries: &[(String, String)], reads_market: bool, when: &str| {
        for (file, sql) in queries {
            let plan = plan_of(&sandbox, sql);
            let wrong = loops_without_key(&plan, reads_market);
            let plan: Vec<&String> = plan.iter().map(|node| &node.detail).collect();
            assert!(wrong.is_empty(), "{file} {when}: {wrong:?}\n{sql}\n{plan:#?}");
        }
    };
    ask(&groups, false, "of some groups");
    ask(&market, true, "of a market");
    ask(&views, true, "as a view");
    for index in
        sandbox.rows("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE '%\\_by\\_%' ESCAPE '\\'")
    {
        sandbox.execute(&format!("DROP INDEX {index}"));
    }
    ask(&market, true, "of a market without indexes");
}
