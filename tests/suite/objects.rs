//! Objects: what others have built on tables, views and marts stays as it is, or is named where it
//! stands in the way.

use crate::sandbox::{Engine, FileReport, Report, Sandbox, table};
use std::fs;

const ORDERS: &str = "Market 1 Orders.csv";
const CUSTOMERS: &str = "Market 1 Customers.csv";

fn synced(sandbox: &Sandbox, name: &str, content: &str) -> FileReport {
    sandbox.drop_file(name, content);
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    report.file(name).clone()
}

/// Names of a view's columns in the view's order.
fn columns_in_order(sandbox: &Sandbox, view: &str) -> Vec<String> {
    sandbox
        .rows(&match sandbox.engine {
            Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{view}') ORDER BY cid"),
            _ => format!(
                "SELECT CAST(column_name AS CHAR(64)) FROM information_schema.columns \
             WHERE table_schema = {} AND table_name = '{view}' ORDER BY ordinal_position",
                if sandbox.engine == Engine::Mariadb { "DATABASE()" } else { "current_schema()" }
            ),
        })
        .iter()
        .map(|name| name.trim().to_owned())
        .collect()
}

/// What `tidegate status` says stands in the way, as text and as JSON.
fn status(sandbox: &Sandbox) -> (String, Vec<serde_json::Value>) {
    let text = sandbox.command(&["status"]).output().expect("the built program starts");
    let json = Report::of(
        &sandbox.command(&["--json", "status"]).output().expect("the built program starts"),
    )
    .json;
    let objects = json["objects_in_the_way"].as_array().cloned().unwrap_or_default();
    (String::from_utf8_lossy(&text.stdout).into_owned(), objects)
}

/// Everybody's rights on a relation of PostgreSQL, its comment, and that of a column.
fn said_of(sandbox: &Sandbox, relation: &str, column: &str) -> Vec<String> {
    let of_column = format!(
        "SELECT a.attacl::text, col_description(a.attrelid, a.attnum) FROM pg_attribute a \
         WHERE a.attrelid = '{relation}'::regclass AND a.attname = '{column}'"
    );
    let of_relation = format!(
        "SELECT relacl::text, obj_description(oid), reloptions::text FROM pg_class WHERE oid = '{relation}'::regclass"
    );
    [sandbox.rows(&of_column), sandbox.rows(&of_relation)].concat()
}

/// Gives rights on a relation, to everybody and to a role that every PostgreSQL has, and says
/// something of it.
fn say_something(sandbox: &Sandbox, relation: &str, column: &str) {
    sandbox.execute(&format!("GRANT SELECT, INSERT ON {relation} TO pg_monitor WITH GRANT OPTION"));
    sandbox.execute(&format!("GRANT SELECT ON {relation} TO PUBLIC"));
    sandbox.execute(&format!("GRANT UPDATE ({column}) ON {relation} TO pg_monitor"));
    sandbox.execute(&format!("COMMENT ON COLUMN {relation}.{column} IS 'it''s theirs'"));
}

scenario!(a_new_column_comes_through_under_somebodys_view);
fn a_new_column_comes_through_under_somebodys_view(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "11,A,1"]));
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Language,Tier", "1,en,gold"]));
    sandbox.execute(
        "CREATE VIEW my_dashboard AS SELECT order_id, customer_language FROM enriched_orders",
    );
    let before = columns_in_order(sandbox, "enriched_orders");
    if sandbox.engine == Engine::Postgres {
        say_something(sandbox, "enriched_orders", "customer_tier");
        sandbox.execute("COMMENT ON VIEW enriched_orders IS 'for Anna'");
        sandbox.execute("ALTER VIEW enriched_orders SET (security_barrier = true)");
    }
    let said = |sandbox: &Sandbox| match sandbox.engine {
        Engine::Postgres => said_of(sandbox, "enriched_orders", "customer_tier"),
        _ => Vec::new(),
    };
    let said_before = said(sandbox);
    synced(
        sandbox,
        CUSTOMERS,
        &table(&["Customer ID,Language,Tier,Since,_Deleted", "1,en,gold,2019,no"]),
    );
    assert_eq!(
        sandbox.rows("SELECT customer_since, customer_tier FROM enriched_orders"),
        ["2019|gold"]
    );
    assert_eq!(sandbox.rows("SELECT * FROM my_dashboard"), ["11|en"]);
    assert_eq!(said(sandbox), said_before);
    // What comes later stands behind what was there.
    let after = columns_in_order(sandbox, "enriched_orders");
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()..], ["customer_since", "customer_deleted"]);
    // Also a mark of deletion, which is a column of the orders.
    sandbox.drop_file(ORDERS, &table(&["Order ID,SKU,Customer ID", "11,A,1", "12,A,1"]));
    let report = sandbox.sync_with(&[("TIDEGATE_DATASETS__ORDERS__DELETES", "mark")]);
    assert_eq!(report.exit, 0, "{report:?}");
    assert_eq!(
        columns_in_order(sandbox, "enriched_orders").last().map(String::as_str),
        Some("_deleted_at")
    );
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM my_dashboard"), ["2"]);
    assert_eq!(status(sandbox).1, Vec::<serde_json::Value>::new());
}

const PIECES: &str = "SELECT customer_id, pieces, _rescued FROM customers ORDER BY customer_id";

scenario!(a_column_under_somebodys_view_keeps_its_type_until_the_view_is_gone);
/// On PostgreSQL the view stands in the way, on the others it follows.
fn a_column_under_somebodys_view_keeps_its_type_until_the_view_is_gone(sandbox: &Sandbox) {
    let rows = ["Customer ID,Pieces,Weight", "1,3,5", "2,4,5"];
    synced(sandbox, CUSTOMERS, &table(&rows));
    sandbox.execute("CREATE VIEW my_dashboard AS SELECT customer_id, pieces FROM customers");
    sandbox.execute("CREATE VIEW my_other AS SELECT pieces FROM my_dashboard");
    let odd = table(&["Customer ID,Pieces,Weight,New", "1,3,5,x", "2,four,5.5,y", "3,007,6,z"]);
    sandbox.drop_file(CUSTOMERS, &odd);
    let report = sandbox.sync_with(&[("TIDEGATE_LOG_LEVEL", "warn")]);
    assert_eq!(report.file(CUSTOMERS).outcome, "synced", "{report:?}");
    assert_eq!(
        sandbox.rows("SELECT weight, new FROM customers WHERE customer_id = '2'"),
        ["5.5|y"]
    );
    let (text, objects) = status(sandbox);
    if sandbox.engine != Engine::Postgres {
        assert_eq!(sandbox.rows(PIECES), ["1|3|-", "2|four|-", "3|007|-"]);
        assert_eq!(sandbox.rows("SELECT * FROM my_other ORDER BY 1"), ["007", "3", "four"]);
        assert_eq!(objects, Vec::<serde_json::Value>::new());
        return;
    }
    assert_eq!(
        sandbox.rows(PIECES),
        ["1|3|-", r#"2|-|{"pieces":"four"}"#, r#"3|-|{"pieces":"007"}"#]
    );
    let run = "DROP VIEW public.my_other; DROP VIEW public.my_dashboard";
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(objects[0]["about"], "customers.pieces");
    assert_eq!(objects[0]["object"], "view public.my_other, view public.my_dashboard");
    assert_eq!(objects[0]["run"], run);
    for told in [&text, &report.stderr] {
        assert!(
            told.contains("customers.pieces") && told.contains("public.my_dashboard"),
            "{told}"
        );
        assert!(told.contains(run), "{told}");
    }
    // The same content is what it was; the next one is rescued in the same way, without a word in
    // between.
    synced(sandbox, CUSTOMERS, &odd.replace("four", "for"));
    assert_eq!(sandbox.rows(PIECES)[1], r#"2|-|{"pieces":"for"}"#);
    run.split("; ").for_each(|drop| sandbox.execute(drop));
    synced(sandbox, CUSTOMERS, &odd);
    assert_eq!(sandbox.rows(PIECES), ["1|3|-", "2|four|-", "3|007|-"]);
    assert_eq!(status(sandbox).1, Vec::<serde_json::Value>::new());
    assert!(
        sandbox.command(&["verify"]).output().expect("the built program starts").status.success()
    );
}

scenario!(the_status_of_the_daemon_names_the_object_and_forgets_it: postgres);
/// Through the daemon: nothing but the object's end is needed.
fn the_status_of_the_daemon_names_the_object_and_forgets_it(sandbox: &Sandbox) {
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,3"]));
    sandbox.execute("CREATE MATERIALIZED VIEW my_stock AS SELECT pieces FROM customers");
    let daemon = sandbox.start_daemon(&[]);
    daemon.wait_until_ready();
    let objects = || {
        let (_, body) = daemon.get("/api/status").expect("the daemon answers");
        let status: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        status["objects_in_the_way"].clone()
    };
    sandbox.drop_file(CUSTOMERS, &table(&["Customer ID,Pieces", "1,three"]));
    crate::sandbox::wait_for("the object to be named", || {
        objects()[0]["run"] == "DROP MATERIALIZED VIEW public.my_stock"
    });
    sandbox.execute("DROP MATERIALIZED VIEW my_stock");
    sandbox.drop_file(CUSTOMERS, &table(&["Customer ID,Pieces", "1,thirty"]));
    crate::sandbox::wait_for("the column to be widened", || sandbox.rows(PIECES) == ["1|thirty|-"]);
    crate::sandbox::wait_for("the object to be forgotten", || objects() == serde_json::json!([]));
    assert!(daemon.log().contains("my_stock"), "{}", daemon.log());
}

scenario!(other_objects_on_a_column_are_named_too: mariadb, postgres);
fn other_objects_on_a_column_are_named_too(server: &Sandbox) {
    for (engine, object, named, run) in [
        (
            Engine::Postgres,
            "ALTER TABLE customers ADD COLUMN twice bigint GENERATED ALWAYS AS (pieces * 2) STORED",
            "generated column twice of customers",
            "ALTER TABLE customers DROP COLUMN twice",
        ),
        (
            Engine::Postgres,
            "ALTER TABLE customers ADD CONSTRAINT positive CHECK (pieces > 0)",
            "constraint positive on table customers",
            "ALTER TABLE customers DROP CONSTRAINT positive",
        ),
        (
            Engine::Postgres,
            "CREATE TRIGGER mine BEFORE UPDATE OF pieces ON customers \
             FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "trigger mine on table customers",
            "DROP TRIGGER mine ON customers",
        ),
        (
            Engine::Mariadb,
            "CREATE INDEX theirs ON customers (pieces)",
            "index theirs on customers",
            "ALTER TABLE `customers` DROP INDEX `theirs`",
        ),
        (
            Engine::Mariadb,
            "ALTER TABLE customers ADD COLUMN twice bigint GENERATED ALWAYS AS (pieces * 2) STORED",
            "generated column twice of customers",
            "ALTER TABLE `customers` DROP COLUMN `twice`",
        ),
        (
            Engine::Mariadb,
            "ALTER TABLE customers ADD CONSTRAINT positive CHECK (pieces > 0)",
            "constraint positive of customers",
            "ALTER TABLE `customers` DROP CONSTRAINT `positive`",
        ),
    ] {
        if engine != server.engine {
            continue;
        }
        eprintln!("{object}");
        let sandbox = server.sibling();
        synced(&sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,3"]));
        sandbox.execute(object);
        synced(&sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,3", "2,four"]));
        assert_eq!(sandbox.rows(PIECES), ["1|3|-", r#"2|-|{"pieces":"four"}"#]);
        let (_, objects) = status(&sandbox);
        assert_eq!(objects.len(), 1, "{objects:?}");
        assert_eq!(
            (&objects[0]["object"], &objects[0]["run"]),
            (&named.into(), &run.into()),
            "{objects:?}"
        );
        sandbox.execute(run);
        synced(&sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,3", "2,fourteen"]));
        assert_eq!(sandbox.rows(PIECES), ["1|3|-", "2|fourteen|-"]);
        assert_eq!(status(&sandbox).1, Vec::<serde_json::Value>::new());
    }
}

scenario!(what_people_said_of_our_views_outlives_a_wider_type: postgres);
fn what_people_said_of_our_views_outlives_a_wider_type(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "11,A,1"]));
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Pieces,Tier", "1,3,gold"]));
    // A column in the middle of the view, where it is to stay.
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Pieces,Tier,Since", "1,3,gold,2019"]));
    let columns = columns_in_order(sandbox, "enriched_orders");
    say_something(sandbox, "enriched_orders", "customer_pieces");
    sandbox.execute("COMMENT ON VIEW enriched_orders IS 'for Anna'");
    sandbox.execute("ALTER VIEW enriched_orders SET (security_barrier = true)");
    sandbox.execute("ALTER DEFAULT PRIVILEGES GRANT DELETE ON TABLES TO PUBLIC");
    sandbox.execute(
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    );
    sandbox.execute("CREATE TRIGGER mine INSTEAD OF UPDATE ON enriched_orders FOR EACH ROW EXECUTE FUNCTION mine()");
    let said = said_of(sandbox, "enriched_orders", "customer_pieces");
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Pieces,Tier,Since", "1,three,gold,2019"]));
    assert_eq!(sandbox.rows("SELECT customer_pieces FROM enriched_orders"), ["three"]);
    assert_eq!(said_of(sandbox, "enriched_orders", "customer_pieces"), said);
    assert_eq!(
        sandbox.rows(
            "SELECT tgname::text FROM pg_trigger WHERE tgrelid = 'enriched_orders'::regclass"
        ),
        ["mine"]
    );
    assert_eq!(columns_in_order(sandbox, "enriched_orders"), columns);
}

scenario!(what_people_said_of_a_column_outlives_a_wider_type: mariadb);
/// MariaDB drops the column whose place the wider one takes; what was said of it stays.
fn what_people_said_of_a_column_outlives_a_wider_type(sandbox: &Sandbox) {
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,3"]));
    sandbox.execute("ALTER TABLE customers MODIFY COLUMN pieces bigint COMMENT 'it''s Anna''s'");
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,three"]));
    let comment = "SELECT CAST(column_comment AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns \
                   WHERE table_schema = DATABASE() AND table_name = 'customers' AND column_name = 'pieces'";
    assert_eq!(sandbox.rows(comment), ["it's Anna's|longtext"]);
}

scenario!(a_replaced_view_keeps_whose_rights_it_is_read_with: mariadb);
fn a_replaced_view_keeps_whose_rights_it_is_read_with(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "11,A,1"]));
    sandbox
        .execute("ALTER SQL SECURITY INVOKER VIEW enriched_orders AS SELECT order_id FROM orders");
    sandbox.execute("UPDATE tidegate_definitions SET fingerprint = 'older'");
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Tier", "1,gold"]));
    let rights = "SELECT CAST(table_name AS CHAR) FROM information_schema.views \
                  WHERE table_schema = DATABASE() AND security_type = 'INVOKER'";
    assert_eq!(sandbox.rows(rights), ["enriched_orders"]);
    assert_eq!(sandbox.rows("SELECT customer_tier FROM enriched_orders"), ["gold"]);
}

/// SQLite checks every view and trigger of the database when a column leaves its table.
#[test]
fn somebodys_views_and_triggers_do_not_stop_a_wider_type_on_sqlite() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    synced(&sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,3"]));
    for object in [
        "CREATE VIEW broken AS SELECT missing FROM nowhere",
        "CREATE VIEW mine AS SELECT pieces + 1 AS more FROM customers",
        "CREATE VIEW ours AS SELECT * FROM enriched_orders",
        "CREATE TABLE seen (pieces)",
        "CREATE INDEX theirs ON customers (pieces)",
        "CREATE TRIGGER noting AFTER UPDATE OF pieces ON customers BEGIN INSERT INTO seen VALUES (NEW.pieces); END",
        "CREATE TRIGGER through INSTEAD OF INSERT ON mine BEGIN INSERT INTO seen VALUES (NEW.more); END",
        "CREATE TRIGGER beside INSTEAD OF INSERT ON enriched_orders BEGIN INSERT INTO seen VALUES (NEW.order_id); END",
    ] {
        sandbox.execute(object);
    }
    let objects = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'tidegate%' AND type <> 'table' \
                   AND name NOT IN (SELECT name FROM tidegate_definitions) ORDER BY name";
    let before = sandbox.rows(objects);
    synced(&sandbox, CUSTOMERS, &table(&["Customer ID,Pieces", "1,three", "2,4"]));
    assert_eq!(sandbox.rows(PIECES), ["1|three|-", "2|4|-"]);
    assert_eq!(sandbox.rows(objects), before);
    assert_eq!(
        sandbox.rows("SELECT pieces FROM seen"),
        ["three"],
        "the widening itself changes no row of theirs"
    );
    sandbox.execute("INSERT INTO enriched_orders (order_id) VALUES ('77')");
    assert_eq!(sandbox.rows("SELECT pieces FROM seen"), ["three", "77"]);
}

const MART: &str = "/*
mart = 'tiers'
key = ['market', 'tier']
group = 'tier'
[columns]
market = 'identifier'
tier = 'identifier'
members = 'bigint'
[touched_by]
customers = '''SELECT DISTINCT language AS group_key FROM customers WHERE {{ records('market', 'customer_id') }}'''
*/
SELECT market, language AS tier, COUNT(*) AS members FROM customers
WHERE language IS NOT NULL AND {{ touched('market', 'language') }} GROUP BY market, language
";

const VIEW: &str = "/*
view = 'large_tiers'
needs = ['tiers']
*/
SELECT tier, members FROM tiers WHERE members > 1
";

scenario!(a_mart_is_made_anew_once_nobody_stands_on_it);
/// A mart is made anew for its definition, under a view of ours and one of somebody's.
fn a_mart_is_made_anew_once_nobody_stands_on_it(sandbox: &Sandbox) {
    let marts = sandbox.path("marts");
    fs::create_dir(&marts).expect("a writable temporary directory");
    let write = |mart: &str| {
        fs::write(marts.join("tiers.sql"), mart).expect("a writable temporary directory");
    };
    write(MART);
    fs::write(marts.join("view.sql"), VIEW).expect("a writable temporary directory");
    let marts = marts.to_string_lossy().into_owned();
    let sync = |name: &str, content: &str| {
        sandbox.drop_file(name, content);
        let report = sandbox.sync_with(&[("TIDEGATE_MARTS_DIR", &marts)]);
        assert_eq!(report.exit, 0, "{report:?}");
        assert_eq!(report.file(name).outcome, "synced", "{report:?}");
    };
    sync(CUSTOMERS, &table(&["Customer ID,Language", "1,en", "2,en", "3,sw"]));
    sandbox.execute("CREATE VIEW theirs AS SELECT tier, members FROM tiers");
    if sandbox.engine == Engine::Postgres {
        say_something(sandbox, "tiers", "members");
        sandbox.execute("COMMENT ON VIEW large_tiers IS 'for Anna'");
    }
    let said = |sandbox: &Sandbox| match sandbox.engine {
        Engine::Postgres => said_of(sandbox, "tiers", "members"),
        _ => Vec::new(),
    };
    let before = said(sandbox);
    // A column of another type, and one more.
    write(
        &MART
            .replace("members = 'bigint'", "members = 'decimal'\nblocked = 'bigint'")
            .replace("COUNT(*) AS members", "COUNT(*) AS members, 0 AS blocked"),
    );
    sync(CUSTOMERS, &table(&["Customer ID,Language", "1,en", "2,en", "3,en"]));
    if sandbox.engine == Engine::Postgres {
        let (text, objects) = status(sandbox);
        assert_eq!(objects.len(), 1, "{objects:?}");
        assert_eq!(
            (&objects[0]["about"], &objects[0]["run"]),
            (&"tiers".into(), &"DROP VIEW public.theirs".into())
        );
        assert!(text.contains("DROP VIEW public.theirs"), "{text}");
        assert_eq!(sandbox.rows("SELECT * FROM theirs ORDER BY tier"), ["en|2", "sw|1"]);
        assert_eq!(sandbox.rows("SELECT members FROM large_tiers"), ["2"]);
        sandbox.execute("DROP VIEW theirs");
        sync(ORDERS, &table(&["Order ID,SKU", "11,A"]));
        assert_eq!(status(sandbox).1, Vec::<serde_json::Value>::new());
        assert_eq!(sandbox.rows("SELECT obj_description('large_tiers'::regclass)"), ["for Anna"]);
    }
    assert_eq!(sandbox.rows("SELECT tier, members, blocked FROM tiers ORDER BY tier"), ["en|3|0"]);
    assert_eq!(sandbox.rows("SELECT members FROM large_tiers"), ["3"]);
    assert_eq!(said(sandbox), before);
}

scenario!(a_view_that_cannot_be_put_in_its_place_is_named_and_the_rest_goes_on);
/// Somebody's table has the name of a view: everything else goes on.
fn a_view_that_cannot_be_put_in_its_place_is_named_and_the_rest_goes_on(sandbox: &Sandbox) {
    synced(sandbox, ORDERS, &table(&["Order ID,SKU,Customer ID", "11,A,1"]));
    sandbox.execute("DROP VIEW cohort_retention");
    sandbox.execute("CREATE TABLE cohort_retention (note varchar(20))");
    sandbox.execute(
        "UPDATE tidegate_definitions SET fingerprint = 'older' WHERE name = 'cohort_retention'",
    );
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Tier", "1,gold"]));
    assert_eq!(sandbox.rows("SELECT order_id, customer_tier FROM enriched_orders"), ["11|gold"]);
    let (text, objects) = status(sandbox);
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(objects[0]["about"], "cohort_retention");
    assert!(text.contains("cohort_retention"), "{text}");
    sandbox.execute("DROP TABLE cohort_retention");
    synced(sandbox, CUSTOMERS, &table(&["Customer ID,Tier", "1,tin"]));
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM cohort_retention"), ["0"]);
    assert_eq!(status(sandbox).1, Vec::<serde_json::Value>::new());
}

scenario!(a_change_that_would_spoil_a_view_is_refused_and_tried_again);
/// A view of the operator's own that a new column would spoil: the file is refused, nothing
/// changes, and it is tried again.
fn a_change_that_would_spoil_a_view_is_refused_and_tried_again(sandbox: &Sandbox) {
    if sandbox.engine == Engine::Sqlite {
        // It takes two columns of one name.
        return;
    }
    let marts = sandbox.path("marts");
    fs::create_dir(&marts).expect("a writable temporary directory");
    let view = "/*\nview = 'people'\nneeds = ['customers']\n*/\nSELECT {{ columns('customers', 'c') }}, 1 AS tier FROM customers c";
    fs::write(marts.join("people.sql"), view).expect("a writable temporary directory");
    let marts_text = marts.to_string_lossy().into_owned();
    let sync = || sandbox.sync_with(&[("TIDEGATE_MARTS_DIR", &marts_text)]);
    sandbox.drop_file(CUSTOMERS, &table(&["Customer ID,Language", "1,en"]));
    assert_eq!(sync().exit, 0);
    let columns = sandbox.columns("customers");
    let changes = "SELECT COUNT(*) FROM tidegate_schema_changes";
    let before = sandbox.rows(changes);
    sandbox.drop_file(CUSTOMERS, &table(&["Customer ID,Language,Tier", "1,en,gold"]));
    let refused = sync();
    assert_eq!(refused.file(CUSTOMERS).outcome, "quarantined", "{refused:?}");
    let error = &refused.file(CUSTOMERS).error;
    assert!(error.contains("the view people") && error.contains("tier"), "{error}");
    assert_eq!((sandbox.columns("customers"), sandbox.rows(changes)), (columns, before));
    assert_eq!(sandbox.rows("SELECT language, tier FROM people"), ["en|1"]);
    fs::remove_file(marts.join("people.sql")).expect("it is there");
    let again = sync();
    assert_eq!(again.file(CUSTOMERS).outcome, "synced", "{again:?}");
    assert_eq!(sandbox.rows("SELECT tier FROM customers"), ["gold"]);
}

scenario!(a_view_of_the_operators_that_cannot_be_made_any_more_is_named_and_forgotten);
/// A definition that was right once does not stop the start, and one that is removed is in nobody's
/// way.
fn a_view_of_the_operators_that_cannot_be_made_any_more_is_named_and_forgotten(sandbox: &Sandbox) {
    let marts = sandbox.path("marts");
    fs::create_dir(&marts).expect("a writable temporary directory");
    let write = |query: &str| {
        let view = format!("/*\nview = 'people'\nneeds = ['customers']\n*/\n{query}");
        fs::write(marts.join("people.sql"), view).expect("a writable temporary directory");
    };
    let marts_text = marts.to_string_lossy().into_owned();
    let sync = |content: &str| {
        sandbox.drop_file(CUSTOMERS, content);
        sandbox.sync_with(&[("TIDEGATE_MARTS_DIR", &marts_text)])
    };
    write("SELECT language FROM customers");
    assert_eq!(sync(&table(&["Customer ID,Language", "1,en"])).exit, 0);
    write("SELECT nothing_of_the_kind FROM customers");
    assert_eq!(sync(&table(&["Customer ID,Language,Tier", "1,sw,gold"])).exit, 0);
    assert_eq!(sandbox.rows("SELECT language FROM people"), ["sw"]);
    assert_eq!(status(sandbox).1[0]["about"], "people");
    fs::remove_file(marts.join("people.sql")).expect("it is there");
    assert_eq!(sync(&table(&["Customer ID,Language,Tier", "1,fr,gold"])).exit, 0);
    assert_eq!(status(sandbox).1, Vec::<serde_json::Value>::new());
}
