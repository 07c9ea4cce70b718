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

# What a customer bought of a product. A few orders touch many products, and each product is in orders all over the market:
# their customers are recomputed, and the products put together from what all customers bought. Orders without a customer
# are the part ''.
[partial]
key = ["market", "sku", "currency_symbol", "customer_id"]
by  = "customer_id"

[partial.columns]
market          = "identifier"
sku             = "identifier"
currency_symbol = "identifier"
customer_id     = "identifier"
orders_count    = "bigint"
quantity_units  = "total"
revenue_units   = "total"
cost_units      = "total"
first_sold_at   = "timestamp"
last_sold_at    = "timestamp"

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
        FROM   orders o
        CROSS  JOIN order_items i
        WHERE  i.market = o.market AND i.order_id = o.order_id
          AND  {{ touched_or_null('o.market', 'o.customer_id') }}
          AND  i.sku <> ''
          AND  COALESCE(o.order_status, '') <> 'CANCELLED'
          AND  {{ live('orders', 'o') }}
    )
SELECT market,
       sku,
       currency_symbol,
       customer_id,
       COUNT(DISTINCT order_id)                         AS orders_count,
       COALESCE(SUM({{ units('quantity') }}), 0)         AS quantity_units,
       COALESCE(SUM({{ units('total_price') }}), 0)      AS revenue_units,
       COALESCE(SUM({{ units('total_cost_price') }}), 0) AS cost_units,
       MIN(order_time)                                  AS first_sold_at,
       MAX(order_time)                                  AS last_sold_at
FROM   sold_items
GROUP  BY market, sku, currency_symbol, customer_id
;
WITH
    -- An order is of one customer, so that the orders of all customers are all orders.
    product_totals AS (
        SELECT p.market, p.sku, p.currency_symbol,
               SUM(p.orders_count)              AS orders_count,
               COUNT(NULLIF(p.customer_id, '')) AS customers_count,
               SUM(p.quantity_units)            AS quantity_units,
               SUM(p.revenue_units)             AS revenue_units,
               SUM(p.cost_units)                AS cost_units,
               MIN(p.first_sold_at)             AS first_sold_at,
               MAX(p.last_sold_at)              AS last_sold_at
        FROM   {{ partial() }} p
        WHERE  {{ touched('p.market', 'p.sku') }}
        GROUP  BY p.market, p.sku, p.currency_symbol
    )
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
FROM   product_totals
