//! Migrations: whatever step a database is at, a start makes it what a fresh one is, and what the
//! entities declare.

use crate::sandbox::{Engine, Sandbox, table};
use entity::TableShape;
use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbErr};

const ORDERS: &str = "Market 1 Orders.csv";

scenario!(a_database_of_the_first_step_becomes_what_a_fresh_one_is);
fn a_database_of_the_first_step_becomes_what_a_fresh_one_is(sandbox: &Sandbox) {
    on_connection(sandbox, async |connection| Migrator::up(connection, Some(1)).await);
    assert_eq!(sandbox.rows("SELECT COUNT(*) FROM tidegate_migrations"), ["1"]);
    sandbox
        .execute("INSERT INTO tidegate_definitions (name, fingerprint) VALUES ('somebodys', 'f')");
    start(sandbox);
    assert_eq!(
        sandbox.rows("SELECT fingerprint FROM tidegate_definitions WHERE name = 'somebodys'"),
        ["f"]
    );
    is_as_a_fresh_one(sandbox);
}

scenario!(a_step_takes_what_is_there_already);
/// MySQL keeps the first half of a step that was cut off, and the first versions made columns at
/// once that a step adds now.
fn a_step_takes_what_is_there_already(sandbox: &Sandbox) {
    make(sandbox, &entity::ledger_tables());
    start(sandbox);
    let fresh = sandbox.sibling();
    start(&fresh);
    same(&columns(sandbox), &columns(&fresh));
    start(sandbox);
}

scenario!(the_steps_make_what_the_entities_declare);
fn the_steps_make_what_the_entities_declare(sandbox: &Sandbox) {
    let shapes = [entity::market_tables(), entity::ledger_tables()].concat();
    let declared = sandbox.sibling();
    make(&declared, &shapes);
    on_connection(sandbox, async |connection| Migrator::up(connection, None).await);
    let of_entities = |columns: Vec<String>| -> Vec<String> {
        let is_declared = |line: &String| {
            shapes.iter().any(|shape| line.starts_with(&format!("{}|", shape.name)))
        };
        columns.into_iter().filter(is_declared).collect()
    };
    let made = of_entities(columns(sandbox));
    assert!(made.len() > shapes.len() * 3, "{made:#?}");
    same(&made, &of_entities(columns(&declared)));
}

/// A start of the program, which runs the steps, and a file.
fn start(sandbox: &Sandbox) {
    sandbox.drop_file(ORDERS, &table(&["Order ID,SKU,Quantity,Customer ID", "11,A,1,7"]));
    let report = sandbox.sync();
    assert_eq!(report.exit, 0, "{}", report.stderr);
    assert_eq!(sandbox.rows("SELECT order_id FROM orders"), ["11"]);
}

fn is_as_a_fresh_one(sandbox: &Sandbox) {
    let fresh = sandbox.sibling();
    start(&fresh);
    same(&columns(sandbox), &columns(&fresh));
    let indexes_of_fresh = indexes(&fresh);
    assert!(
        indexes_of_fresh.iter().any(|index| index.contains("path_key")),
        "{indexes_of_fresh:?}"
    );
    same(&indexes(sandbox), &indexes_of_fresh);
    let steps = "SELECT version FROM tidegate_migrations ORDER BY version";
    assert_eq!(sandbox.rows(steps).len(), Migrator::migrations().len());
    assert_eq!(sandbox.rows(steps), fresh.rows(steps));
}

/// Compares two catalogs, and shows only what differs.
fn same(found: &[String], expected: &[String]) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    assert_eq!((only(found, expected), only(expected, found)), (Vec::new(), Vec::new()));
    assert_eq!(found.len(), expected.len());
}

/// Makes tables from their shapes, without any step.
fn make(sandbox: &Sandbox, shapes: &[TableShape]) {
    on_connection(sandbox, async |connection| {
        let collation = migration::ddl::text_collation(connection).await?;
        for shape in shapes {
            let backend = connection.get_database_backend();
            let table = migration::ddl::create_table(shape, backend, collation.as_deref());
            connection.execute(&table).await?;
        }
        Ok(())
    });
}

fn on_connection(
    sandbox: &Sandbox,
    work: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), DbErr>,
) {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    let done = runtime.block_on(async {
        // SQLite makes no file unless it is told to.
        let mode = if sandbox.engine == Engine::Sqlite { "?mode=rwc" } else { "" };
        let connection = Database::connect(format!("{}{mode}", sandbox.url)).await?;
        work(&connection).await?;
        connection.close().await
    });
    done.unwrap_or_else(|error| panic!("{}: {error}", sandbox.url));
}

/// Columns of all tables: name, type, whether NULL is allowed, and what else the catalog says, but
/// no default: that is what the rows got that were there before a column.
fn columns(sandbox: &Sandbox) -> Vec<String> {
    let mut columns = sandbox.rows(match sandbox.engine {
        Engine::Sqlite => {
            "SELECT t.name, c.name, c.type, c.\"notnull\", c.pk \
             FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        }
        Engine::Mariadb => {
            "SELECT CAST(c.table_name AS CHAR), CAST(c.column_name AS CHAR), CAST(c.column_type AS CHAR), \
                    CAST(c.is_nullable AS CHAR), CAST(c.collation_name AS CHAR), CAST(c.extra AS CHAR) \
             FROM information_schema.columns c JOIN information_schema.tables t \
               ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
             WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'"
        }
        Engine::Postgres => {
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text, \
                    a.attidentity::text, l.collname::text \
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
             LEFT JOIN pg_collation l ON l.oid = a.attcollation \
             WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
        }
    });
    columns.sort();
    columns
}

/// Keys and indexes of all tables, each with its columns in order.
fn indexes(sandbox: &Sandbox) -> Vec<String> {
    let mut indexes = sandbox.rows(match sandbox.engine {
        Engine::Sqlite => {
            "SELECT t.name, i.name, i.\"unique\", i.origin, c.seqno, c.name FROM sqlite_master t \
             JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c WHERE t.type = 'table'"
        }
        Engine::Mariadb => {
            "SELECT CAST(table_name AS CHAR), CAST(index_name AS CHAR), CAST(non_unique AS CHAR), CAST(seq_in_index AS CHAR), \
                    CAST(column_name AS CHAR) FROM information_schema.statistics WHERE table_schema = DATABASE()"
        }
        Engine::Postgres => {
            "SELECT tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
        }
    });
    indexes.sort();
    indexes
}
