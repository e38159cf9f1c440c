-- What became of the listed objects when they were last checked, and how many of each.
-- The view `now` holds the snapshot's objects as they are. $never: the reason of those that were never checked.
-- Out: kind (read: with a result; failed; not_read: nothing failed), reason, objects.
SELECT
    CASE
        WHEN failures = 0 AND verified_at IS NOT NULL THEN 'read'
        WHEN status = 'failed' THEN 'failed'
        ELSE 'not_read'
    END AS kind,
    CASE WHEN kind = 'read' THEN NULL WHEN status IS NULL THEN $never ELSE coalesce(error_code, 'unknown') END
        AS reason,
    count(*) AS objects
FROM now
WHERE listed
GROUP BY ALL
ORDER BY reason
