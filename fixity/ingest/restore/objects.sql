-- In: `$inventory`, the views `last_look`, `checks` (the ledger) and `ingested` (results of earlier versions).
-- Out: the objects that are or may be archived, in their state after the last look. An object read since its
-- restore was requested is checked; an object that could not be read twice is failed.
WITH tried AS (
    SELECT key, version_id, etag, status, error_code, coalesce(error_message, error_code) AS detail, checked_at, run_id
    FROM checks
    UNION ALL
    SELECT key, version_id, etag, status, error_code, coalesce(detail, error_code), checked_at, run_id
    FROM ingested
)

SELECT
    i.key,
    i.version_id,
    i.size,
    i.etag,
    i.storage_class,
    l.archive,
    CASE
        WHEN c.key IS NOT NULL AND l.state <> 'failed' THEN 'checked'
        WHEN l.state = 'restored' AND f.reads >= $attempts THEN 'failed'
        ELSE coalesce(l.state, 'waiting')
    END AS state,
    l.tier,
    coalesce(l.attempts, 0) AS attempts,
    coalesce(l.unanswered, 0) AS unanswered,
    l.requested_at,
    l.look_again_at,
    l.restored_until,
    CASE WHEN l.state = 'restored' AND f.reads >= $attempts THEN f.error_code ELSE l.error_code END AS error_code,
    CASE
        WHEN l.state = 'restored' AND f.reads >= $attempts
            THEN 'it is restored, but could not be read ' || f.reads || ' times: ' || f.detail
        ELSE l.detail
    END AS detail
FROM read_parquet($inventory) AS i
LEFT JOIN last_look AS l
    ON l.key = i.key
    AND l.version_id IS NOT DISTINCT FROM i.version_id
    AND l.etag IS NOT DISTINCT FROM i.etag
LEFT JOIN (
    SELECT key, version_id, etag, max(checked_at) AS checked_at
    FROM tried
    WHERE status = 'succeeded'
    GROUP BY key, version_id, etag
) AS c
    ON c.key = i.key
    AND c.version_id IS NOT DISTINCT FROM i.version_id
    AND c.etag IS NOT DISTINCT FROM i.etag
    AND c.checked_at >= l.requested_at
LEFT JOIN LATERAL (
    SELECT
        count(DISTINCT n.run_id) AS reads,
        arg_max(n.error_code, n.checked_at) AS error_code,
        arg_max(n.detail, n.checked_at) AS detail
    FROM tried AS n
    WHERE
        n.status = 'failed'
        AND n.key = i.key
        AND n.version_id IS NOT DISTINCT FROM i.version_id
        AND n.etag IS NOT DISTINCT FROM i.etag
        AND n.checked_at >= l.requested_at
) AS f ON true
WHERE i.storage_class IN (SELECT unnest($classes))
ORDER BY i.key, i.version_id NULLS FIRST
