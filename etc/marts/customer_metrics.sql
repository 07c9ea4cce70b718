/*
# What each customer ordered, spent and had delivered, per currency.
mart  = "customer_metrics"
key   = ["market", "customer_id", "currency_symbol"]
group = "customer_id"
# Columns that may be added up over the groups: what `tidegate plan` tells.
additive = ["orders_count", "completed_orders", "cancelled_orders", "total_amount", "items_quantity",
            "redeemed_loyalty_points", "consumed_loyalty_points", "deliveries_count", "completed_deliveries"]

[columns]
market                      = "identifier"
customer_id                 = "identifier"
currency_symbol             = "identifier"
orders_count                = "bigint"
completed_orders            = "bigint"
cancelled_orders            = "bigint"
total_amount                = "total"
average_order_value         = "total"
items_quantity              = "total"
distinct_products           = "bigint"
first_order_at              = "timestamp"
last_order_at               = "timestamp"
redeemed_loyalty_points     = "total"
consumed_loyalty_points     = "total"
deliveries_count            = "bigint"
completed_deliveries        = "bigint"
average_delivery_minutes    = "total"
average_delivery_distance_m = "total"

# A key may come more than once, and <> '' leaves NULL out. With DISTINCT or IS NOT NULL instead, an SQLite that has not
# run ANALYZE yet would walk that column's index through the whole market.
[touched_by]
orders = """
SELECT o.customer_id AS group_key
FROM   orders o
WHERE  {{ records('o.market', 'o.order_id') }}
  AND  o.customer_id <> ''
"""
# A task has no customer of its own: it belongs to the customer of its order.
deliveries = """
SELECT o.customer_id AS group_key
FROM   deliveries d
JOIN   orders o ON o.market = d.market AND o.order_id = d.order_id
WHERE  {{ records('d.market', 'd.task_id') }}
  AND  o.customer_id <> ''
"""
*/
WITH
    -- A NULL status counts as sold: only cancelled orders are not.
    customer_orders AS (
        SELECT o.market, o.customer_id, o.order_id, o.order_status, o.order_time,
               o.redeemed_loyalty_points, o.consumed_loyalty_points,
               COALESCE(o.currency_symbol, '')                                              AS currency_symbol,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN 1             END AS sold,
               CASE WHEN COALESCE(o.order_status, '') <> 'CANCELLED' THEN o.order_total END AS sold_total
        FROM   {{ source('orders', 'o') }}
        WHERE  {{ touched('o.market', 'o.customer_id') }}
          AND  o.customer_id IS NOT NULL
          AND  {{ live('orders', 'o') }}
    ),
    -- Orders, items and tasks are added up apart: joined, each item would repeat the tasks of its order. CROSS JOIN means
    -- what JOIN means, and keeps SQLite, which does not reorder it, from reading every item and task of the market to find
    -- those of a few orders. The market, which is the same everywhere, is last where it sorts: the first ones are compared
    -- most.
    order_totals AS (
        SELECT market, customer_id, currency_symbol,
               COUNT(*)                                               AS orders_count,
               COUNT(CASE WHEN order_status = 'COMPLETED' THEN 1 END) AS completed_orders,
               COUNT(CASE WHEN order_status = 'CANCELLED' THEN 1 END) AS cancelled_orders,
               COUNT(sold)                                            AS sold_orders,
               COALESCE(SUM(sold_total), 0)                           AS total_amount,
               COALESCE(SUM(redeemed_loyalty_points), 0)              AS redeemed_points,
               COALESCE(SUM(consumed_loyalty_points), 0)              AS consumed_points,
               MIN(order_time)                                        AS first_order_at,
               MAX(order_time)                                        AS last_order_at
        FROM   customer_orders
        GROUP  BY customer_id, currency_symbol, market
    ),
    {% if dialect == 'mysql' %}
    -- MariaDB would take more than twice as long for the DISTINCT of each customer.
    sold_products AS (
        SELECT o.market, o.customer_id, o.currency_symbol, i.sku,
               COALESCE(SUM(i.quantity), 0) AS quantity
        FROM   customer_orders o
        JOIN   order_items i ON i.market = o.market AND i.order_id = o.order_id
        WHERE  o.sold = 1
        GROUP  BY o.customer_id, o.currency_symbol, i.sku, o.market
    ),
    item_totals AS (
        SELECT market, customer_id, currency_symbol,
               SUM(quantity) AS items_quantity,
               COUNT(sku)    AS distinct_products
        FROM   sold_products
        GROUP  BY customer_id, currency_symbol, market
    ),
    {% else %}
    item_totals AS (
        SELECT o.market, o.customer_id, o.currency_symbol,
               COALESCE(SUM(i.quantity), 0) AS items_quantity,
               COUNT(DISTINCT i.sku)        AS distinct_products
        FROM   customer_orders o
        CROSS  JOIN order_items i
        WHERE  i.market = o.market AND i.order_id = o.order_id
          AND  o.sold = 1
        GROUP  BY o.customer_id, o.currency_symbol, o.market
    ),
    {% endif %}
    {% if is_whole %}
    -- Each task looks up its order by the key, which serves whatever other indexes there are.
    customer_tasks AS (
        SELECT o.market, o.customer_id,
               COALESCE(o.currency_symbol, '')                                                      AS currency_symbol,
               CASE WHEN d.task_status = 'Completed' THEN 1 END                                     AS completed,
               CASE WHEN d.task_status = 'Completed' THEN {{ exact('d.total_time_taken_min') }} END AS minutes,
               CASE WHEN d.task_status = 'Completed' THEN {{ exact('d.distance_m') }} END           AS distance_m
        FROM   {{ source('deliveries', 'd') }}
        CROSS  JOIN orders o
        WHERE  {{ touched('d.market', 'o.customer_id') }}
          AND  o.market = d.market AND o.order_id = d.order_id
          AND  o.customer_id IS NOT NULL
          AND  {{ live('orders', 'o') }}
          AND  {{ live('deliveries', 'd') }}
    ),
    {% else %}
    customer_tasks AS (
        SELECT o.market, o.customer_id, o.currency_symbol,
               CASE WHEN d.task_status = 'Completed' THEN 1 END                                     AS completed,
               CASE WHEN d.task_status = 'Completed' THEN {{ exact('d.total_time_taken_min') }} END AS minutes,
               CASE WHEN d.task_status = 'Completed' THEN {{ exact('d.distance_m') }} END           AS distance_m
        FROM   customer_orders o
        CROSS  JOIN deliveries d
        WHERE  d.market = o.market AND d.order_id = o.order_id
          AND  {{ live('deliveries', 'd') }}
    ),
    {% endif %}
    task_totals AS (
        SELECT market, customer_id, currency_symbol,
               COUNT(*)                     AS deliveries_count,
               COUNT(completed)             AS completed_deliveries,
               COALESCE(SUM(minutes), 0)    AS minutes,
               COUNT(minutes)               AS timed_deliveries,
               COALESCE(SUM(distance_m), 0) AS distance_m,
               COUNT(distance_m)            AS measured_deliveries
        FROM   customer_tasks
        GROUP  BY customer_id, currency_symbol, market
    ),
    -- Not joined, because MariaDB has no key for a join of them: it would compare each customer with every other one.
    rows_of_each AS (
        SELECT market, customer_id, currency_symbol, orders_count, completed_orders, cancelled_orders, sold_orders,
               total_amount, redeemed_points, consumed_points, first_order_at, last_order_at,
               0 AS items_quantity, 0 AS distinct_products, 0 AS deliveries_count, 0 AS completed_deliveries,
               0 AS minutes, 0 AS timed_deliveries, 0 AS distance_m, 0 AS measured_deliveries
        FROM   order_totals
        UNION  ALL
        SELECT market, customer_id, currency_symbol, 0, 0, 0, 0, 0, 0, 0, NULL, NULL,
               items_quantity, distinct_products, 0, 0, 0, 0, 0, 0
        FROM   item_totals
        UNION  ALL
        SELECT market, customer_id, currency_symbol, 0, 0, 0, 0, 0, 0, 0, NULL, NULL,
               0, 0, deliveries_count, completed_deliveries, minutes, timed_deliveries, distance_m, measured_deliveries
        FROM   task_totals
    )
SELECT market,
       customer_id,
       currency_symbol,
       SUM(orders_count)                                            AS orders_count,
       SUM(completed_orders)                                        AS completed_orders,
       SUM(cancelled_orders)                                        AS cancelled_orders,
       {{ round4('SUM(total_amount)') }}                            AS total_amount,
       {{ quotient4('SUM(total_amount)', 'SUM(sold_orders)') }}     AS average_order_value,
       {{ round4('SUM(items_quantity)') }}                          AS items_quantity,
       SUM(distinct_products)                                       AS distinct_products,
       MIN(first_order_at)                                          AS first_order_at,
       MAX(last_order_at)                                           AS last_order_at,
       {{ round4('SUM(redeemed_points)') }}                         AS redeemed_loyalty_points,
       {{ round4('SUM(consumed_points)') }}                         AS consumed_loyalty_points,
       SUM(deliveries_count)                                        AS deliveries_count,
       SUM(completed_deliveries)                                    AS completed_deliveries,
       {{ quotient4('SUM(minutes)', 'SUM(timed_deliveries)') }}     AS average_delivery_minutes,
       {{ quotient4('SUM(distance_m)', 'SUM(measured_deliveries)') }} AS average_delivery_distance_m
FROM   rows_of_each
GROUP  BY customer_id, currency_symbol, market
