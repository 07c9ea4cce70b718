//! Summary: the few numbers that a sync ends with, read from the marts.

use super::Sink;
use super::dialect::Dialect;
use crate::error::SyncError;
use futures_util::TryStreamExt;
use rust_decimal::Decimal;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, StreamTrait};
use serde::Serialize;

/// Customers that are listed of each market.
const TOP_CUSTOMERS: u64 = 3;

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
    /// Those who spent most.
    pub top_customers: Vec<TopCustomer>,
}

/// A customer and what they spent.
#[derive(Debug, Serialize)]
pub struct TopCustomer {
    /// Who.
    pub customer_id: String,
    /// Orders of every status.
    pub orders_count: i64,
    /// Σ order_total of what was sold.
    pub total_amount: Decimal,
}

impl Sink {
    /// Revenue and top customers per market and currency.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn summary(&self) -> Result<Vec<Revenue>, SyncError> {
        // Sums of integers and decimals have other types than their terms: orders are counted here.
        let mut groups = Query::select();
        groups
            .columns(["market", "currency_symbol"])
            .from("customer_metrics")
            .group_by_columns(["market", "currency_symbol"])
            .order_by("market", Order::Asc)
            .order_by("currency_symbol", Order::Asc);
        let mut summary = Vec::new();
        for group in self.connection.query_all(&groups).await? {
            summary.push(self.revenue(group.try_get_by_index(0)?, group.try_get_by_index(1)?).await?);
        }
        Ok(summary)
    }

    async fn revenue(&self, market: String, currency_symbol: String) -> Result<Revenue, SyncError> {
        let mut query = Query::select();
        query
            .columns(["customer_id", "orders_count", "total_amount"])
            .from("customer_metrics")
            .and_where(Expr::col("market").eq(market.as_str()))
            .and_where(Expr::col("currency_symbol").eq(currency_symbol.as_str()));
        let mut top = query.clone();
        top.order_by("total_amount", Order::Desc).order_by("customer_id", Order::Asc).limit(TOP_CUSTOMERS);
        let mut revenue = Revenue {
            market,
            currency_symbol,
            orders_count: 0,
            total_amount: Decimal::ZERO,
            top_customers: Vec::new(),
        };
        // One by one: of a large market, all of them take hundreds of megabytes.
        let mut customers = self.connection.stream(&query).await?;
        while let Some(row) = customers.try_next().await? {
            revenue.orders_count += row.try_get_by_index::<i64>(1)?;
            revenue.total_amount += decimal_at(&row, 2, self.dialect)?;
        }
        drop(customers);
        for row in self.connection.query_all(&top).await? {
            revenue.top_customers.push(TopCustomer {
                customer_id: row.try_get_by_index(0)?,
                orders_count: row.try_get_by_index(1)?,
                total_amount: decimal_at(&row, 2, self.dialect)?,
            });
        }
        Ok(revenue)
    }
}

fn decimal_at(row: &QueryResult, index: usize, dialect: Dialect) -> Result<Decimal, DbErr> {
    match dialect {
        // The shortest text of a real is the decimal it was stored from.
        Dialect::Sqlite => Ok(row.try_get_by_index::<f64>(index)?.to_string().parse().unwrap_or_default()),
        _ => row.try_get_by_index(index),
    }
}
