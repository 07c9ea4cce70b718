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

# What each customer ordered from each merchant: nearly every order of a market may be from one. Orders without a
# customer are the part ''.
[partial]
by = "customer_id"

[partial.sums]
orders_count     = "bigint"
cancelled_orders = "bigint"
customers_count  = "bigint"
sold_orders      = "bigint"
total_units      = "total"

[partial.lowest]
first_order_at = "timestamp"

[partial.highest]
last_order_at = "timestamp"

[touched_by]
orders = """
SELECT COALESCE(o.customer_id, '') AS group_key
FROM   orders o
WHERE  {{ records('o.market', 'o.order_id') }}
"""
*/
WITH
    -- A NULL status counts as sold: only cancelled orders are not. No merchant is '', and an IS NOT NULL might have SQLite
    -- walk the index of that column.
    merchant_orders AS (
        SELECT o.market, o.merchant_id, o.order_status, o.order_time,
               COALESCE(o.currency_symbol, '')                                              AS currency_symbol,
               COALESCE(o.customer_id, '')                                                  AS customer_id,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN 1             END AS sold,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN o.order_total END AS sold_total
        FROM   {{ source('orders', 'o') }}
        WHERE  {{ touched_or_null('o.market', 'o.customer_id') }}
          AND  o.merchant_id <> ''
          AND  {{ live('orders', 'o') }}
    )
-- The columns of parts: market, `by`, the rest of the mart's key, sums, lowest, highest.
SELECT market,
       customer_id,
       merchant_id,
       currency_symbol,
       COUNT(*)                                               AS orders_count,
       COUNT(CASE WHEN order_status = 'CANCELLED' THEN 1 END) AS cancelled_orders,
       CASE WHEN customer_id <> '' THEN 1 ELSE 0 END          AS customers_count,
       COUNT(sold)                                            AS sold_orders,
       COALESCE(SUM({{ units('sold_total') }}), 0)            AS total_units,
       MIN(order_time)                                        AS first_order_at,
       MAX(order_time)                                        AS last_order_at
FROM   merchant_orders
-- The market, which is the same everywhere, last: sorting compares the first ones most.
GROUP  BY customer_id, merchant_id, currency_symbol, market
;
SELECT market,
       merchant_id,
       currency_symbol,
       orders_count,
       cancelled_orders,
       customers_count,
       {{ round4(of_units('total_units')) }}                   AS total_amount,
       {{ quotient4(of_units('total_units'), 'sold_orders') }} AS average_order_value,
       first_order_at,
       last_order_at
FROM   {{ totals() }} t
WHERE  {{ touched('t.market', 't.merchant_id') }}
