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

# What a customer ordered from a merchant: nearly every order of a market may be from one. Orders without a customer are
# the part ''.
[partial]
key = ["market", "merchant_id", "currency_symbol", "customer_id"]
by  = "customer_id"

[partial.columns]
market           = "identifier"
merchant_id      = "identifier"
currency_symbol  = "identifier"
customer_id      = "identifier"
orders_count     = "bigint"
cancelled_orders = "bigint"
sold_orders      = "bigint"
total_units      = "total"
first_order_at   = "timestamp"
last_order_at    = "timestamp"

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
        FROM   orders o
        WHERE  {{ touched_or_null('o.market', 'o.customer_id') }}
          AND  o.merchant_id <> ''
          AND  {{ live('orders', 'o') }}
    )
SELECT market,
       merchant_id,
       currency_symbol,
       customer_id,
       COUNT(*)                                               AS orders_count,
       COUNT(CASE WHEN order_status = 'CANCELLED' THEN 1 END) AS cancelled_orders,
       COUNT(sold)                                            AS sold_orders,
       COALESCE(SUM({{ units('sold_total') }}), 0)            AS total_units,
       MIN(order_time)                                        AS first_order_at,
       MAX(order_time)                                        AS last_order_at
FROM   merchant_orders
GROUP  BY market, merchant_id, currency_symbol, customer_id
;
WITH
    merchant_totals AS (
        SELECT p.market, p.merchant_id, p.currency_symbol,
               SUM(p.orders_count)              AS orders_count,
               SUM(p.cancelled_orders)          AS cancelled_orders,
               COUNT(NULLIF(p.customer_id, '')) AS customers_count,
               SUM(p.sold_orders)               AS sold_orders,
               SUM(p.total_units)               AS total_units,
               MIN(p.first_order_at)            AS first_order_at,
               MAX(p.last_order_at)             AS last_order_at
        FROM   {{ partial() }} p
        WHERE  {{ touched('p.market', 'p.merchant_id') }}
        GROUP  BY p.market, p.merchant_id, p.currency_symbol
    )
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
FROM   merchant_totals
