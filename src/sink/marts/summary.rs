//! Summary: the few figures that a sync prints at its end, read from the marts.

use crate::error::SyncError;
use crate::sink::db::dialect::Dialect;
use crate::sink::marts::Marts;
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sea_orm::sea_query::Query;
use sea_orm::{DbErr, QueryResult, StreamTrait};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Number of customers listed for each market.
const TOP_CUSTOMERS: usize = 3;

/// Revenue of a market in one currency.
#[derive(Debug, Serialize)]
pub struct Revenue {
    /// The market.
    pub market: String,
    /// The currency, as exported.
    pub currency_symbol: String,
    /// Orders of every status.
    pub orders_count: i64,
    /// Σ total_amount of the customers.
    pub total_amount: Decimal,
    /// The customers who spent most.
    pub top_customers: Vec<TopCustomer>,
}

/// A customer, with the amount spent.
#[derive(Debug, Serialize)]
pub struct TopCustomer {
    /// The customer's id.
    pub customer_id: String,
    /// Orders of every status.
    pub orders_count: i64,
    /// Σ order_total of sold orders.
    pub total_amount: Decimal,
}

impl Marts {
    /// Revenue and top customers per market and currency.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn summary(&self) -> Result<Vec<Revenue>, SyncError> {
        let mut query = Query::select();
        query
            .columns(["market", "currency_symbol", "customer_id", "orders_count", "total_amount"])
            .from("customer_metrics");
        let mut summary: BTreeMap<(String, String), Revenue> = BTreeMap::new();
        // Read row by row, because all customers of a large market take hundreds of megabytes.
        // Summed here, because SQL sums of integers and decimals have other types than their terms,
        // and because the database would sort all customers.
        let mut customers = self.db.connection.stream(&query).await?;
        while let Some(row) = customers.try_next().await? {
            let (market, currency): (String, String) =
                (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            let revenue = summary.entry((market, currency)).or_insert_with_key(
                |(market, currency_symbol)| Revenue {
                    market: market.clone(),
                    currency_symbol: currency_symbol.clone(),
                    orders_count: 0,
                    total_amount: Decimal::ZERO,
                    top_customers: Vec::new(),
                },
            );
            revenue.add(TopCustomer {
                customer_id: row.try_get_by_index(2)?,
                orders_count: row.try_get_by_index(3)?,
                total_amount: decimal_at(&row, 4, self.db.dialect)?,
            });
        }
        Ok(summary.into_values().collect())
    }
}

impl Revenue {
    fn add(&mut self, customer: TopCustomer) {
        self.orders_count += customer.orders_count;
        self.total_amount += customer.total_amount;
        let is_before = |other: &TopCustomer| {
            (Reverse(other.total_amount), &other.customer_id)
                < (Reverse(customer.total_amount), &customer.customer_id)
        };
        let at = self.top_customers.partition_point(is_before);
        if at < TOP_CUSTOMERS {
            self.top_customers.insert(at, customer);
            self.top_customers.truncate(TOP_CUSTOMERS);
        }
    }
}

fn decimal_at(row: &QueryResult, index: usize, dialect: Dialect) -> Result<Decimal, DbErr> {
    match dialect {
        // The shortest text of a real is the decimal that was stored.
        Dialect::Sqlite => {
            Ok(row.try_get_by_index::<f64>(index)?.to_string().parse().unwrap_or_default())
        }
        _ => row.try_get_by_index(index),
    }
}
