/*
# Every order with what is known of its customer. A customer that comes later shows up by itself.
view = "enriched_orders"
*/
SELECT {{ columns('orders', 'o') }},
       {{ other_columns('customers', 'c', 'customer_', 'orders') }}
FROM   orders o
LEFT   JOIN customers c ON c.market = o.market AND c.customer_id = o.customer_id AND {{ live('customers', 'c') }}
WHERE  {{ live('orders', 'o') }}
