-- A time by which enough objects of the queue are due, whatever has changed since it was folded, or is taken: NULL where
-- there are not enough, 1970 where enough were never checked. Only a few columns are read for it.
-- The view `folded` holds the queue as it was folded; `$wanted` are enough, with as many as have changed or are taken.
WITH soonest AS (
    SELECT due_at
    FROM folded
    WHERE listed AND left_out IS NULL AND failures = 0 AND ($most IS NULL OR size <= $most)
    ORDER BY due_at NULLS FIRST
    LIMIT $wanted
)

SELECT
    CASE
        WHEN count(*) >= $wanted THEN coalesce(max(due_at), TIMESTAMPTZ '1970-01-01 00:00:00+00')
    END AS last
FROM soonest
