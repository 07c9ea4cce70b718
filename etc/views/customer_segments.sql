/*
# Each customer's quintiles of recency, frequency and amount in the market and currency, and the segment they make.
view = "customer_segments"

# recency_days   UTC days from the customer's last order to the market's latest order of any customer and currency
# frequency      all orders, cancelled ones too
# amount         what the sold orders add up to
#
# Scores go from 1 to 5, 5 is best: the most recent, most frequent, highest fifth. Equal values are told apart by
# customer_id. With frequency and amount taken together as worth = frequency_score + amount_score (2 to 10):
#
#   champions   recency 4 or 5, worth 8 or more    bought just now, often and much
#   loyal       recency 3 to 5, worth 6 or more    comes back, and spends
#   promising   recency 3 to 5, worth under 6      recent, but few or small orders so far
#   at_risk     recency 1 or 2, worth 6 or more    was worth much, and has not been back
#   lost        recency 1 or 2, worth under 6      few or small orders, long ago
*/
WITH
    latest_orders AS (
        SELECT o.market, MAX(o.order_time) AS latest_order_at
        FROM   orders o
        WHERE  {{ live('orders', 'o') }}
        GROUP  BY o.market
    ),
    customers_measured AS (
        SELECT m.market, m.customer_id, m.currency_symbol,
               {{ days_between('m.last_order_at', 'l.latest_order_at') }} AS recency_days,
               m.orders_count                                             AS frequency,
               m.total_amount                                             AS amount
        FROM   customer_metrics m
        JOIN   latest_orders l ON l.market = m.market
    ),
    -- Databases disagree whether NULL sorts first, so a customer whose orders have no time is put last in words.
    customers_scored AS (
        SELECT market, customer_id, currency_symbol, recency_days, frequency, amount,
               NTILE(5) OVER (
                   PARTITION BY market, currency_symbol
                   ORDER BY CASE WHEN recency_days IS NULL THEN 0 ELSE 1 END, recency_days DESC, customer_id
               ) AS recency_score,
               NTILE(5) OVER (PARTITION BY market, currency_symbol ORDER BY frequency, customer_id) AS frequency_score,
               NTILE(5) OVER (PARTITION BY market, currency_symbol ORDER BY amount, customer_id)    AS amount_score
        FROM   customers_measured
    )
SELECT market,
       customer_id,
       currency_symbol,
       recency_days,
       frequency,
       amount,
       recency_score,
       frequency_score,
       amount_score,
       CASE WHEN recency_score >= 4 AND frequency_score + amount_score >= 8 THEN 'champions'
            WHEN recency_score >= 3 AND frequency_score + amount_score >= 6 THEN 'loyal'
            WHEN recency_score >= 3                                         THEN 'promising'
            WHEN frequency_score + amount_score >= 6                        THEN 'at_risk'
            ELSE                                                                 'lost'
       END AS segment
FROM   customers_scored
