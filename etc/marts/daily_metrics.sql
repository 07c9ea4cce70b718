/*
# What was ordered on each UTC day, by how many customers and for how much, per currency.
mart  = "daily_metrics"
key   = ["market", "currency_symbol", "day"]
group = "day"
# Columns that may be added up over the groups: what `tidegate plan` tells.
additive = ["orders_count", "cancelled_orders", "total_amount", "items_quantity"]

[columns]
market              = "identifier"
currency_symbol     = "identifier"
day                 = "date"
orders_count        = "bigint"
cancelled_orders    = "bigint"
customers_count     = "bigint"
total_amount        = "total"
items_quantity      = "total"
average_order_value = "total"

# No DISTINCT and no IS NOT NULL, for the reason that customer_metrics.sql gives.
[touched_by]
orders = """
SELECT {{ day_text('o.order_time') }} AS group_key
FROM   orders o
WHERE  {{ records('o.market', 'o.order_id') }}
  AND  {{ day_text('o.order_time') }} <> ''
"""
*/
WITH
    -- The days are asked for by a range of order_time too: no index knows the day of a time.
    -- A NULL status counts as sold: only cancelled orders are not.
    -- The items of an order are added up where it is read: joined, each item would repeat its order, and sorting items by
    -- day costs more than looking up those of each order.
    day_orders AS (
        SELECT o.market, o.customer_id, o.order_status,
               COALESCE(o.currency_symbol, '')                                              AS currency_symbol,
               {{ day('o.order_time') }}                                                    AS day,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN 1             END AS sold,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN o.order_total END AS sold_total,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN (
                   SELECT SUM(i.quantity)
                   FROM   order_items i
                   WHERE  i.market = o.market AND i.order_id = o.order_id
               ) END                                                                        AS sold_quantity
        FROM   {{ source('orders', 'o') }}
        WHERE  {{ touched_days('o.market', 'o.order_time') }}
          AND  o.order_time IS NOT NULL
          AND  {{ live('orders', 'o') }}
    ),
    day_totals AS (
        SELECT market, currency_symbol, day,
               COUNT(*)                                               AS orders_count,
               COUNT(CASE WHEN order_status = 'CANCELLED' THEN 1 END) AS cancelled_orders,
               COUNT(DISTINCT customer_id)                            AS customers_count,
               COUNT(sold)                                            AS sold_orders,
               COALESCE(SUM(sold_total), 0)                           AS total_amount,
               COALESCE(SUM(sold_quantity), 0)                        AS items_quantity
        FROM   day_orders
        GROUP  BY day, currency_symbol, market
    )
SELECT market,
       currency_symbol,
       day,
       orders_count,
       cancelled_orders,
       customers_count,
       {{ round4('total_amount') }}                   AS total_amount,
       {{ round4('items_quantity') }}                 AS items_quantity,
       {{ quotient4('total_amount', 'sold_orders') }} AS average_order_value
FROM   day_totals
