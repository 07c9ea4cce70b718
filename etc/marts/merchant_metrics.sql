/*
# What each merchant was ordered from, by how many customers and for how much, per currency.
mart  = "merchant_metrics"
key   = ["market", "merchant_id", "currency_symbol"]
group = "merchant_id"
# Columns that may be added up over the groups: what `tidegate plan` tells.
additive = ["orders_count", "cancelled_orders", "total_amount"]

[columns]
market              = "identifier"
merchant_id         = "identifier"
currency_symbol     = "identifier"
orders_count        = "bigint"
cancelled_orders    = "bigint"
customers_count     = "bigint"
total_amount        = "total"
average_order_value = "total"
first_order_at      = "timestamp"
last_order_at       = "timestamp"

# No DISTINCT and no IS NOT NULL, for the reason that customer_metrics.sql gives.
[touched_by]
orders = """
SELECT o.merchant_id AS group_key
FROM   orders o
WHERE  {{ records('o.market', 'o.order_id') }}
  AND  o.merchant_id <> ''
"""
*/
WITH
    -- A NULL status counts as sold: only cancelled orders are not.
    merchant_orders AS (
        SELECT o.market, o.merchant_id, o.customer_id, o.order_status, o.order_time,
               COALESCE(o.currency_symbol, '')                                              AS currency_symbol,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN 1             END AS sold,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN o.order_total END AS sold_total
        FROM   orders o
        WHERE  {{ touched('o.market', 'o.merchant_id') }}
          AND  o.merchant_id IS NOT NULL
          AND  {{ live('orders', 'o') }}
    ),
    merchant_totals AS (
        SELECT market, merchant_id, currency_symbol,
               COUNT(*)                                               AS orders_count,
               COUNT(CASE WHEN order_status = 'CANCELLED' THEN 1 END) AS cancelled_orders,
               COUNT(DISTINCT customer_id)                            AS customers_count,
               COUNT(sold)                                            AS sold_orders,
               COALESCE(SUM(sold_total), 0)                           AS total_amount,
               MIN(order_time)                                        AS first_order_at,
               MAX(order_time)                                        AS last_order_at
        FROM   merchant_orders
        GROUP  BY market, merchant_id, currency_symbol
    )
SELECT market,
       merchant_id,
       currency_symbol,
       orders_count,
       cancelled_orders,
       customers_count,
       {{ round4('total_amount') }}                   AS total_amount,
       {{ quotient4('total_amount', 'sold_orders') }} AS average_order_value,
       first_order_at,
       last_order_at
FROM   merchant_totals
