//! Schema migrations, one file a step, and the DDL that every table of tidegate is made with.
//!
//! A step is never edited after a release, and reads nothing that may change: it spells its tables
//! and columns itself (`shapes`). A change of an entity comes with a step of its own.

pub mod ddl;
mod m20261122_000001_ledger;
mod m20261122_000002_market;
mod m20261122_000003_marts;
mod m20261125_000004_generations;
mod m20261128_000005_obstacles;
mod m20261128_000006_corrected_rows;
mod m20261128_000007_attempts;
mod m20261128_000008_vanished;
mod m20261128_000009_number_forms;
mod m20261128_000010_row_counts;
mod m20261128_000011_alarms;
mod m20261129_000012_history;
mod shapes;

pub use m20261122_000002_market::indexes as market_indexes;
pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use shapes::{Column, Table as TableOfStep};

/// Runs the steps that a database has not seen yet.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_ledger::Migration),
            Box::new(m20261122_000002_market::Migration),
            Box::new(m20261122_000003_marts::Migration),
            Box::new(m20261125_000004_generations::Migration),
            Box::new(m20261128_000005_obstacles::Migration),
            Box::new(m20261128_000006_corrected_rows::Migration),
            Box::new(m20261128_000007_attempts::Migration),
            Box::new(m20261128_000008_vanished::Migration),
            Box::new(m20261128_000009_number_forms::Migration),
            Box::new(m20261128_000010_row_counts::Migration),
            Box::new(m20261128_000011_alarms::Migration),
            Box::new(m20261129_000012_history::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "tidegate_migrations".into_iden()
    }
}

/// Columns of an index, by table.
type Indexes<'a> = &'a [(&'a str, &'a [&'a str])];

/// Every statement is one that may run again: DDL commits by itself on MySQL, so a step that was
/// cut off leaves its first half behind.
async fn create_tables(
    manager: &SchemaManager<'_>,
    tables: &[TableOfStep],
    indexes: Indexes<'_>,
) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let collation = ddl::text_collation(manager.get_connection()).await?;
    for shape in tables.iter().map(TableOfStep::shape) {
        let mut table = ddl::create_table(&shape, backend, collation.as_deref());
        let mut own: Vec<IndexCreateStatement> = indexes
            .iter()
            .filter(|(table, _)| *table == shape.name)
            .map(|(table, columns)| index(table, columns))
            .collect();
        if ddl::takes_indexes_with_the_table(backend) {
            for index in own.drain(..) {
                table.index(&mut index.clone());
            }
        }
        manager.create_table(table).await?;
        for index in own {
            manager.create_index(index).await?;
        }
    }
    Ok(())
}

/// Adds columns to a table of the ledger. Databases of the first versions may have them already.
async fn add_columns(
    manager: &SchemaManager<'_>,
    table: &str,
    columns: &[Column],
) -> Result<(), DbErr> {
    let shape = shapes::lone(table);
    for &column in columns {
        let column = shapes::column(column);
        if !ddl::has_column(manager.get_connection(), table, &column.name).await? {
            for alter in ddl::add_columns(&[&column], &shape, manager.get_database_backend()) {
                manager.alter_table(alter).await?;
            }
        }
    }
    Ok(())
}

fn index(table: &str, columns: &[&str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{table}_by_{}", columns.join("_"))).table(table.to_owned()).if_not_exists();
    for &column in columns {
        index.col(column.to_owned());
    }
    index
}

async fn drop_tables(manager: &SchemaManager<'_>, tables: &[TableOfStep]) -> Result<(), DbErr> {
    for table in tables {
        let table = Table::drop().table(table.name).if_exists().to_owned();
        manager.drop_table(table).await?;
    }
    Ok(())
}
