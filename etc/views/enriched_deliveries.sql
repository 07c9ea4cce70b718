/*
# Every task with its order and, through the order, its customer. Either may come later, and shows up by itself.
view = "enriched_deliveries"
*/
SELECT {{ columns('deliveries', 'd') }},
       o.customer_id,
       o.order_status,
       o.order_time,
       {{ other_columns('customers', 'c', 'customer_', 'deliveries', 'customer_id', 'order_status', 'order_time') }}
FROM   deliveries d
LEFT   JOIN orders    o ON o.market = d.market AND o.order_id    = d.order_id    AND {{ live('orders', 'o') }}
LEFT   JOIN customers c ON c.market = o.market AND c.customer_id = o.customer_id AND {{ live('customers', 'c') }}
WHERE  {{ live('deliveries', 'd') }}
