//! Schema migrations, one file a step, and the DDL that every table of tidegate is made with.
//!
//! A step is never edited after a release: a change of an entity comes with a step of its own.

pub mod ddl;
mod m20261122_000001_ledger;
mod m20261122_000002_market;
mod m20261122_000003_marts;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

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
        ]
    }

    fn migration_table_name() -> DynIden {
        "tidegate_migrations".into_iden()
    }
}

async fn create_tables(manager: &SchemaManager<'_>, shapes: &[entity::TableShape]) -> Result<(), DbErr> {
    let collation = ddl::text_collation(manager.get_connection()).await?;
    for shape in shapes {
        let table = ddl::create_table(shape, manager.get_database_backend(), collation.as_deref());
        manager.create_table(table).await?;
    }
    Ok(())
}

async fn create_indexes(manager: &SchemaManager<'_>, indexes: &[(&str, &[&str])]) -> Result<(), DbErr> {
    for &(table, columns) in indexes {
        let name = format!("{table}_by_{}", columns.join("_"));
        // A MariaDB step that was cut off leaves its first half behind: DDL commits by itself there.
        if manager.has_index(table, &name).await? {
            continue;
        }
        let mut index = Index::create();
        index.name(name).table(table.to_owned());
        for &column in columns {
            index.col(column.to_owned());
        }
        manager.create_index(index).await?;
    }
    Ok(())
}

async fn drop_tables(manager: &SchemaManager<'_>, shapes: &[entity::TableShape]) -> Result<(), DbErr> {
    for shape in shapes {
        let table = Table::drop().table(shape.name.clone()).if_exists().to_owned();
        manager.drop_table(table).await?;
    }
    Ok(())
}
