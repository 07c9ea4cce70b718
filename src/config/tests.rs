//! Tests of the configuration: the precedence of its sources, and the messages about errors.

use crate::config::*;
use std::io::Write;

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let mut config = tempfile::NamedTempFile::new().expect("a temporary file");
    config.write_all(file.as_bytes()).expect("space in the temporary directory");
    let overrides = Overrides { config: Some(config.path().to_owned()), ..Overrides::default() };
    let environment =
        environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Config::from_sources(&overrides, &environment).map_err(|error| error.to_string())
}

#[test]
fn the_embedded_defaults_and_profile_are_valid() {
    let config = load("", &[]).expect("defaults");
    assert_eq!(config.datasets.len(), 10);
    assert_eq!(config.settle, Duration::from_millis(200));
    assert!(config.database_url.reveal().starts_with("sqlite:///"));
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_profile() {
    let config =
        load("settle_ms = 5\n[datasets.orders]\nkind = \"delta\"", &[("TIDEGATE_SETTLE_MS", "7")]);
    let config = config.expect("valid");
    assert_eq!(config.settle, Duration::from_millis(7));
    let orders =
        config.datasets.iter().find(|dataset| dataset.name == "orders").expect("of the profile");
    assert_eq!(orders.kind, crate::feed::dataset::FeedKind::Delta);
    assert_eq!(orders.table, "orders");
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let error = |file, environment| load(file, environment).expect_err("an unknown key");
    let said = error("setle_ms = 5", &[]);
    assert!(said.starts_with("unknown key `setle_ms`; did you mean `settle_ms`? (/"), "{said}");
    assert!(said.ends_with(", line 1)"), "{said}");
    let said = error("[datasets.orders]\nkeys = 'x'", &[]);
    assert!(
        said.starts_with(
            "unknown key `datasets.orders.keys`; did you mean `datasets.orders.key`? (/"
        ),
        "{said}"
    );
    assert!(said.ends_with(", line 2)"), "{said}");
    assert_eq!(
        error("", &[("TIDEGATE_STATEDIR", "x")]),
        "unknown key `statedir`; did you mean `state_dir`? (environment variable TIDEGATE_STATEDIR)"
    );
    let said = error("[datasets.order]\nkind = 'delta'", &[]);
    assert!(
        said.starts_with("unknown key `datasets.order`; did you mean `datasets.orders`? (/"),
        "{said}"
    );
    let said = error("[datasets.stock]\nkind = 'delta'", &[]);
    assert!(said.contains("datasets.stock: a dataset of your own needs `paths`"), "{said}");
}

#[test]
fn a_value_that_is_not_allowed_is_told_with_those_that_are_and_with_its_place() {
    let error =
        |file, environment| load(file, environment).expect_err("a value that is not allowed");
    let said = error("\nafter_sync = 'archiv'", &[]);
    assert!(
        said.starts_with(
            "after_sync: `archiv` is not allowed; write one of `keep`, `archive`, `delete` (/"
        ),
        "{said}"
    );
    assert!(said.ends_with(", line 2)"), "{said}");
    let said = error("[datasets.orders]\nkind = 'dealt'", &[]);
    assert!(
        said.starts_with(
            "datasets.orders.kind: `dealt` is not allowed; write `full` or `delta` (/"
        ),
        "{said}"
    );
    let said = error("", &[("TIDEGATE_UNMATCHED", "make")]);
    assert!(
        said.contains("`list` or `create` (environment variable TIDEGATE_UNMATCHED)"),
        "{said}"
    );
    let said = error("settle_ms = 'soon'", &[]);
    assert!(
        said.starts_with("settle_ms: it is string \"soon\", and must be")
            && said.ends_with(", line 1)"),
        "{said}"
    );
}

#[test]
fn bounds_are_at_least_a_second_and_fit_into_what_servers_count_in() {
    for key in ["statement_max_ms", "lock_wait_ms", "stuck_after_ms"] {
        for value in ["0", "999", "2147483648"] {
            let error = load(&format!("{key} = {value}"), &[]).expect_err("out of range");
            assert_eq!(error, format!("{key} must be between 1000 and 2147483647"));
        }
        assert!(load(&format!("{key} = 1000"), &[]).is_ok());
    }
}

#[test]
fn passwords_are_not_shown() {
    let config =
        load("", &[("TIDEGATE_DATABASE_URL", "postgres://u:s3cret@db/x?sslpassword=s3cret")]);
    let config = config.expect("valid");
    assert_eq!(format!("{:?}", config.database_url), "postgres://db/x");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn no_error_quotes_a_secret() {
    for (file, said) in [
        ("settle_ms = 1\ndatabase_url = \"mysql://u:s3cret@db/x\nmore", ", line "),
        ("database_url = mysql://u:s3cret@db/x", "line 1, column"),
        (
            "database_url = \"mysql://u:s3cret@db/x\"\ndatabase_url = \"mysql://u:s3cret@db/x\"",
            "line 2, column",
        ),
        ("database_url = [\"mysql://u:s3cret@db/x\"]", "database_url"),
        ("settle_ms = \"mysql://u:s3cret@db/x\"", "settle_ms"),
        ("listen = \"mysql://u:s3cret@db/x\"", "listen"),
        ("database_url = \"mysql://u:s3?cret@db/x\"", "write special characters"),
    ] {
        let error = load(file, &[]).expect_err(file);
        assert!(error.contains(said) && !error.contains("s3"), "{error}");
    }
}

#[test]
fn the_profile_knows_its_paths() {
    let config = load("", &[]).expect("defaults");
    let route = |path: &str| {
        let found = config
            .datasets
            .iter()
            .find_map(|dataset| Some((dataset.name.clone(), dataset.route(path)?)));
        found.map(|(name, route)| (name, route.market, route.date.map(|date| date.to_string())))
    };
    let expect = |name: &str, market: &str, date: Option<&str>| {
        Some((name.to_owned(), market.to_owned(), date.map(str::to_owned)))
    };
    assert_eq!(route("/in/Market 1 Orders.csv"), expect("orders", "1", None));
    assert_eq!(
        route("/in/market-1-orders-2022-02-17.csv"),
        expect("orders", "1", Some("2022-02-17"))
    );
    assert_eq!(route("/in/market1/orders.csv"), expect("orders", "1", None));
    assert_eq!(route("/in/MARKET 2 CUSTOMERS.JSON"), expect("customers", "2", None));
    assert_eq!(
        route("/in/market_west-coast_deliveries.tsv"),
        expect("deliveries", "west-coast", None)
    );
    assert_eq!(
        route("/in/2022-02-17 Market 3 Orders.csv"),
        expect("orders", "3", Some("2022-02-17"))
    );
    assert_eq!(route("/market 9/Market 1 Orders.csv"), expect("orders", "1", None));
    assert_eq!(route("/in/Market 1 Orders.csv.gz"), expect("orders", "1", None));
    assert_eq!(
        route("/in/market-1-customers-2022-02-17.ndjson.zst"),
        expect("customers", "1", Some("2022-02-17"))
    );
    assert_eq!(route("/in/Market 1 Orders.xls"), None);
    assert_eq!(route("/in/Market 1 Orders.gz"), None);
    assert_eq!(route("/in/supermarket orders.csv"), None);
    assert_eq!(route("/in/marketing/orders.csv"), None);
}

#[test]
fn settings_that_contradict_one_another_are_told() {
    let dataset = "[datasets.a]\npaths = ['/a']\nkey = 'id'\n";
    for (more, said) in [
        ("columns = { n = { from = '' } }", "datasets.a.columns.n.from: a name is empty"),
        (
            "columns = { n = { type = 'integer', min = '3', max = '2' } }",
            "datasets.a.columns.n: no value is at least `min`, 3, and at most `max`, 2",
        ),
        (
            "columns = { n = { type = 'date', min = '2024-02-01', max = '2024-01-01' } }",
            "no value is at least `min`, 2024-02-01",
        ),
        ("lines_table = 'A'", "datasets.a.lines_table: `A` cannot be the name of a table"),
        ("table = 'pg_a'", "datasets.a.table: `pg_a` cannot be the name of a table"),
        (
            "[datasets.b]\npaths = ['/b']\nkey = 'no'\ntable = 'a'",
            "datasets.b.key: datasets.a writes to the same table, `a`, whose key is id",
        ),
    ] {
        let error = load(&format!("{dataset}{more}"), &[]).expect_err(more);
        assert!(error.contains(said), "{error}");
    }
}
