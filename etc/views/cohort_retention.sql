/*
# Of the customers who first ordered in a month, how many ordered again so many months later, per currency.
view = "cohort_retention"

# An order of any status counts as activity, in its UTC calendar month. Month 0 is the month of the first order, where
# retention is 1. A month in which nobody of the cohort ordered has no row.
*/
WITH
    cohort_customers AS (
        SELECT m.market, m.currency_symbol, m.customer_id,
               {{ month_text('m.first_order_at') }}   AS cohort_month,
               {{ month_number('m.first_order_at') }} AS first_month
        FROM   customer_metrics m
        WHERE  m.first_order_at IS NOT NULL
    ),
    cohort_sizes AS (
        SELECT market, currency_symbol, cohort_month,
               COUNT(*) AS cohort_size
        FROM   cohort_customers
        GROUP  BY market, currency_symbol, cohort_month
    ),
    order_months AS (
        SELECT o.market, o.customer_id,
               COALESCE(o.currency_symbol, '')    AS currency_symbol,
               {{ month_number('o.order_time') }} AS order_month
        FROM   orders o
        WHERE  o.customer_id IS NOT NULL
          AND  o.order_time IS NOT NULL
          AND  {{ live('orders', 'o') }}
    ),
    cohort_months AS (
        SELECT c.market, c.currency_symbol, c.cohort_month,
               a.order_month - c.first_month AS months_since,
               COUNT(DISTINCT c.customer_id) AS customers
        FROM   cohort_customers c
        JOIN   order_months a ON  a.market          = c.market
                              AND a.customer_id     = c.customer_id
                              AND a.currency_symbol = c.currency_symbol
        GROUP  BY c.market, c.currency_symbol, c.cohort_month, a.order_month - c.first_month
    )
SELECT m.market,
       m.currency_symbol,
       m.cohort_month,
       m.months_since,
       m.customers,
       s.cohort_size,
       {{ quotient4('m.customers', 's.cohort_size') }} AS retention
FROM   cohort_months m
JOIN   cohort_sizes  s ON  s.market          = m.market
                       AND s.currency_symbol = m.currency_symbol
                       AND s.cohort_month    = m.cohort_month
