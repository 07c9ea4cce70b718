/*
# How many tasks each delivery agent had, how they ended, how long and how far they were, and how they were rated.
mart  = "agent_metrics"
key   = ["market", "agent_id"]
group = "agent_id"
# Columns that may be added up over the groups: what `tidegate plan` tells.
additive = ["tasks_count", "completed_tasks", "failed_tasks", "total_distance_m"]

[columns]
market           = "identifier"
agent_id         = "identifier"
tasks_count      = "bigint"
completed_tasks  = "bigint"
failed_tasks     = "bigint"
average_minutes  = "total"
total_distance_m = "total"
average_rating   = "total"

# No DISTINCT and no IS NOT NULL, for the reason that customer_metrics.sql gives.
[touched_by]
deliveries = """
SELECT d.agent_id AS group_key
FROM   deliveries d
WHERE  {{ records('d.market', 'd.task_id') }}
  AND  d.agent_id <> ''
"""
*/
WITH
    -- A rating of 0 is the export's word for not rated.
    agent_tasks AS (
        SELECT d.market, d.agent_id, d.task_status,
               CASE WHEN d.task_status = 'Completed' THEN {{ exact('d.total_time_taken_min') }} END AS minutes,
               CASE WHEN d.task_status = 'Completed' THEN {{ exact('d.distance_m') }} END           AS distance_m,
               CASE WHEN d.rating > 0                THEN d.rating END                              AS rating
        FROM   {{ source('deliveries', 'd') }}
        WHERE  {{ touched('d.market', 'd.agent_id') }}
          AND  d.agent_id IS NOT NULL
          AND  {{ live('deliveries', 'd') }}
    )
SELECT market,
       agent_id,
       COUNT(*)                                              AS tasks_count,
       COUNT(CASE WHEN task_status = 'Completed' THEN 1 END) AS completed_tasks,
       COUNT(CASE WHEN task_status = 'Failed'    THEN 1 END) AS failed_tasks,
       {{ quotient4('SUM(minutes)', 'COUNT(minutes)') }}     AS average_minutes,
       {{ round4('COALESCE(SUM(distance_m), 0)') }}          AS total_distance_m,
       {{ quotient4('SUM(rating)', 'COUNT(rating)') }}       AS average_rating
FROM   agent_tasks
GROUP  BY market, agent_id
