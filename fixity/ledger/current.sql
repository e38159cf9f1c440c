-- The newest check of each object of the newest inventory, from all files of the ledger.
-- A check with a time in the future (after $horizon) is treated as made in 1970.
-- A check by another algorithm than the bucket's own ($algorithm) counts only where there is no other: it cannot be
-- compared with those of the pair's other bucket.
-- In: the view `ledger` with all checks, and the view `looked_again` with those of second looks after that inventory.
-- A check counts only if the object has not changed since: same version, same ETag, same time, same size.
WITH checks AS NOT MATERIALIZED (
    SELECT
        *,
        CASE WHEN checked_at > $horizon THEN TIMESTAMPTZ '1970-01-01 00:00:00+00' ELSE checked_at END AS made_at,
        coalesce(algorithm = $algorithm, true) AS comparable
    FROM ledger
    WHERE checked_at IS NOT NULL
),

-- Objects that a second look found although the inventory lacks them. Of a key, one version is the current one.
found AS (
    SELECT key, version_id, size, etag, last_modified, storage_class, is_latest
    FROM (
        FROM looked_again
        QUALIFY row_number() OVER (
            PARTITION BY key, CASE WHEN NOT is_latest THEN version_id END ORDER BY checked_at DESC, run_id DESC
        ) = 1
    )
    WHERE coalesce(error_code NOT IN ('DeletedSinceListed', 'ChangedSinceListed'), true)
),

listed AS (
    SELECT key, version_id, size, etag, last_modified, storage_class, is_latest
    FROM read_parquet($inventory)
    UNION ALL
    SELECT f.* REPLACE (
        f.is_latest AND NOT EXISTS (FROM read_parquet($inventory) AS i WHERE i.key = f.key AND i.is_latest) AS is_latest
    )
    FROM found AS f
    WHERE NOT EXISTS (
        FROM read_parquet($inventory) AS i WHERE i.key = f.key AND i.version_id IS NOT DISTINCT FROM f.version_id
    )
)

SELECT
    i.key,
    i.version_id,
    i.size,
    i.etag,
    i.last_modified,
    i.storage_class,
    coalesce(c.algorithm, newest.algorithm, 'SHA256') AS algorithm,
    c.checksum_type,
    c.checksum,
    coalesce(c.status, 'skipped') AS status,
    CASE WHEN c.key IS NULL THEN 'NeverChecked' ELSE c.error_code END AS error_code,
    CASE WHEN c.key IS NULL THEN 'not checked since it was listed' ELSE c.error_message END AS error_message,
    coalesce(c.bytes_read, 0) AS bytes_read,
    c.evidence,
    c.checked_at,
    coalesce(c.run_id, $run_id) AS run_id,
    i.is_latest,
    c.expected,
    c.expected_algorithm,
    c.expected_from,
    coalesce(c.verdict, CASE WHEN c.key IS NULL THEN 'not_compared' END) AS verdict,
    c.reads,
    c.other_checksums
FROM listed AS i
LEFT JOIN (
    FROM checks
    QUALIFY row_number() OVER (
        PARTITION BY key, version_id, etag, last_modified, size
        ORDER BY comparable DESC, made_at DESC, run_id DESC
    ) = 1
) AS c
    ON c.key = i.key
    AND c.size = i.size
    AND c.version_id IS NOT DISTINCT FROM i.version_id
    AND c.etag IS NOT DISTINCT FROM i.etag
    AND c.last_modified IS NOT DISTINCT FROM i.last_modified
CROSS JOIN (
    SELECT arg_max(algorithm, (comparable, made_at)) AS algorithm FROM checks
) AS newest
ORDER BY i.key, i.version_id NULLS FIRST
