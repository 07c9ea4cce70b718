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

# No DISTINCT and no IS NOT NULL, for the reason that customer_metrics.sql gives.
[touched_by]
orders = """
SELECT i.sku AS group_key
FROM   order_items i
WHERE  {{ records('i.market', 'i.order_id') }}
  AND  i.sku <> ''
"""
*/
WITH
    -- A NULL status counts as sold. CROSS JOIN means what JOIN means, and has SQLite, which does not reorder it,
    -- start from the items.
    sold_items AS (
        SELECT i.market, i.sku, i.quantity, i.total_price, i.total_cost_price,
               o.order_id, o.customer_id, o.order_time,
               COALESCE(o.currency_symbol, '') AS currency_symbol
        FROM   order_items i
        CROSS  JOIN orders o
        WHERE  o.market = i.market AND o.order_id = i.order_id
          AND  {{ touched('i.market', 'i.sku') }}
          AND  i.sku IS NOT NULL
          AND  COALESCE(o.order_status, '') <> 'CANCELLED'
          AND  {{ live('orders', 'o') }}
    ),
    product_totals AS (
        SELECT market, sku, currency_symbol,
               COUNT(DISTINCT order_id)           AS orders_count,
               COUNT(DISTINCT customer_id)        AS customers_count,
               COALESCE(SUM(quantity), 0)         AS units_sold,
               COALESCE(SUM(total_price), 0)      AS revenue,
               COALESCE(SUM(total_cost_price), 0) AS cost,
               MIN(order_time)                    AS first_sold_at,
               MAX(order_time)                    AS last_sold_at
        FROM   sold_items
        GROUP  BY market, sku, currency_symbol
    )
SELECT market,
       sku,
       currency_symbol,
       orders_count,
       customers_count,
       {{ round4('units_sold') }}     AS units_sold,
       {{ round4('revenue') }}        AS revenue,
       {{ round4('cost') }}           AS cost,
       {{ round4('revenue - cost') }} AS gross_margin,
       first_sold_at,
       last_sold_at
FROM   product_totals
