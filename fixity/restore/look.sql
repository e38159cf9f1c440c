-- The objects that are archived or may be, each as the last look left it. What was read since its restore
-- was asked for is checked.
SELECT
    i.key,
    i.version_id,
    i.size,
    i.etag,
    i.storage_class,
    l.archive,
    CASE
        WHEN c.key IS NOT NULL AND l.state <> 'failed' THEN 'checked'
        ELSE coalesce(l.state, 'waiting')
    END AS state,
    l.tier,
    coalesce(l.attempts, 0) AS attempts,
    l.requested_at,
    l.look_again_at,
    l.restored_until,
    l.error_code,
    l.detail
FROM read_parquet($inventory) AS i
LEFT JOIN read_parquet($last) AS l
    ON l.key = i.key
    AND l.version_id IS NOT DISTINCT FROM i.version_id
    AND l.etag IS NOT DISTINCT FROM i.etag
LEFT JOIN (
    SELECT key, version_id, etag, max(checked_at) AS checked_at
    FROM read_parquet($checks)
    WHERE status = 'succeeded'
    GROUP BY key, version_id, etag
) AS c
    ON c.key = i.key
    AND c.version_id IS NOT DISTINCT FROM i.version_id
    AND c.etag IS NOT DISTINCT FROM i.etag
    AND c.checked_at >= l.requested_at
WHERE i.storage_class IN (SELECT unnest($classes))
ORDER BY i.key, i.version_id NULLS FIRST
