//! Summary: the few numbers that a sync ends with, read from the marts.

use super::Sink;
use super::dialect::Dialect;
use crate::error::SyncError;
use crate::number::DECIMAL_SCALE;
use rust_decimal::Decimal;
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
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
        let (count, units) = match self.dialect {
            // Reals add up exactly as whole ten-thousandths, below 2^53 of them.
            Dialect::Sqlite => ("SUM(orders_count)", "SUM(ROUND(total_amount * 10000.0))"),
            Dialect::Mysql => ("CAST(SUM(orders_count) AS SIGNED)", "SUM(total_amount)"),
            Dialect::Postgres => ("CAST(SUM(orders_count) AS bigint)", "SUM(total_amount)"),
        };
        let mut groups = Query::select();
        groups
            .columns(["market", "currency_symbol"])
            .expr(Expr::cust(count))
            .expr(Expr::cust(units))
            .from("customer_metrics")
            .group_by_columns(["market", "currency_symbol"])
            .order_by("market", Order::Asc)
            .order_by("currency_symbol", Order::Asc);
        let mut summary = Vec::new();
        for group in self.connection.query_all(&groups).await? {
            let (market, currency_symbol): (String, String) = (group.try_get_by_index(0)?, group.try_get_by_index(1)?);
            summary.push(Revenue {
                orders_count: group.try_get_by_index(2)?,
                total_amount: match self.dialect {
                    Dialect::Sqlite => {
                        Decimal::from_i128_with_scale(group.try_get_by_index::<f64>(3)? as i128, DECIMAL_SCALE)
                    }
                    _ => group.try_get_by_index(3)?,
                },
                top_customers: self.top_customers(&market, &currency_symbol).await?,
                market,
                currency_symbol,
            });
        }
        Ok(summary)
    }

    async fn top_customers(&self, market: &str, currency_symbol: &str) -> Result<Vec<TopCustomer>, SyncError> {
        let mut top = Query::select();
        top.columns(["customer_id", "orders_count", "total_amount"])
            .from("customer_metrics")
            .and_where(Expr::col("market").eq(market))
            .and_where(Expr::col("currency_symbol").eq(currency_symbol))
            .order_by("total_amount", Order::Desc)
            .order_by("customer_id", Order::Asc)
            .limit(TOP_CUSTOMERS);
        let customer = |row: QueryResult| {
            Ok(TopCustomer {
                customer_id: row.try_get_by_index(0)?,
                orders_count: row.try_get_by_index(1)?,
                total_amount: decimal_at(&row, 2, self.dialect)?,
            })
        };
        self.connection.query_all(&top).await?.into_iter().map(customer).collect()
    }
}

fn decimal_at(row: &QueryResult, index: usize, dialect: Dialect) -> Result<Decimal, DbErr> {
    match dialect {
        // The shortest text of a real is the decimal it was stored from.
        Dialect::Sqlite => Ok(row.try_get_by_index::<f64>(index)?.to_string().parse().unwrap_or_default()),
        _ => row.try_get_by_index(index),
    }
}
