/*
# What each product sold, cost and left over, per currency. A product that is only in cancelled orders has no row.
mart  = "product_metrics"
key   = ["market", "sku", "currency_symbol"]
group = "sku"
# Columns that may be added up over the groups: what `tidegate plan` tells.
additive = ["units_sold", "revenue", "cost", "gross_margin"]

[columns]
market          = "identifier"
sku             = "identifier"
currency_symbol = "identifier"
orders_count    = "bigint"
customers_count = "bigint"
units_sold      = "total"
revenue         = "total"
cost            = "total"
gross_margin    = "total"
first_sold_at   = "timestamp"
last_sold_at    = "timestamp"

# What each customer bought of each product. A few orders touch many products, and each product is in orders all over the
# market: only their customers are recomputed, and the products' totals changed by the difference. Orders without a
# customer are the part ''.
[partial]
by = "customer_id"

[partial.sums]
orders_count    = "bigint"
customers_count = "bigint"
quantity_units  = "total"
revenue_units   = "total"
cost_units      = "total"

[partial.lowest]
first_sold_at = "timestamp"

[partial.highest]
last_sold_at = "timestamp"

[touched_by]
orders = """
SELECT COALESCE(o.customer_id, '') AS group_key
FROM   orders o
WHERE  {{ records('o.market', 'o.order_id') }}
"""
*/
WITH
    -- A NULL status counts as sold. CROSS JOIN means what JOIN means, and has SQLite, which does not reorder it, start from
    -- the orders. No IS NOT NULL, which would have it walk the index of that column for every order; no sku is ''.
    sold_items AS (
        SELECT o.market, i.sku, i.quantity, i.total_price, i.total_cost_price,
               o.order_id, o.order_time,
               COALESCE(o.currency_symbol, '') AS currency_symbol,
               COALESCE(o.customer_id, '')     AS customer_id
        FROM   {{ source('orders', 'o') }}
        CROSS  JOIN order_items i
        WHERE  i.market = o.market AND i.order_id = o.order_id
          AND  {{ touched_or_null('o.market', 'o.customer_id') }}
          AND  i.sku <> ''
          AND  COALESCE(o.order_status, '') <> 'CANCELLED'
          AND  {{ live('orders', 'o') }}
    )
-- The columns of parts: market, `by`, the rest of the mart's key, sums, lowest, highest. An order is of one customer, so
-- that the orders of all customers are all orders.
SELECT market,
       customer_id,
       sku,
       currency_symbol,
       COUNT(DISTINCT order_id)                          AS orders_count,
       CASE WHEN customer_id <> '' THEN 1 ELSE 0 END     AS customers_count,
       COALESCE(SUM({{ units('quantity') }}), 0)         AS quantity_units,
       COALESCE(SUM({{ units('total_price') }}), 0)      AS revenue_units,
       COALESCE(SUM({{ units('total_cost_price') }}), 0) AS cost_units,
       MIN(order_time)                                   AS first_sold_at,
       MAX(order_time)                                   AS last_sold_at
FROM   sold_items
-- The market, which is the same everywhere, last: sorting compares the first ones most.
GROUP  BY customer_id, sku, currency_symbol, market
;
SELECT market,
       sku,
       currency_symbol,
       orders_count,
       customers_count,
       {{ round4(of_units('quantity_units')) }}             AS units_sold,
       {{ round4(of_units('revenue_units')) }}              AS revenue,
       {{ round4(of_units('cost_units')) }}                 AS cost,
       {{ round4(of_units('revenue_units - cost_units')) }} AS gross_margin,
       first_sold_at,
       last_sold_at
FROM   {{ totals() }} t
WHERE  {{ touched('t.market', 't.sku') }}
