-- The records of the objects of an inventory, each with its object's version. A record without a version is one of
-- the current version. If the inventory is the whole bucket, records of other objects are kept, as not listed: these
-- objects are missing. The same holds for objects that a run should check ($gone_keys, $gone_versions) and that the
-- bucket does not have; without a record, such an object is a row without `recorded_as`. A record whose object cannot
-- be known has the key of the place where it is recorded; it is always kept.
WITH recorded AS NOT MATERIALIZED (
    SELECT
        r.key,
        coalesce(o.version_id, r.version_id) AS version_id,
        o.key IS NOT NULL AS listed,
        r.algorithm,
        r.checksum,
        r.recorded_as,
        r.recorded_in,
        r.rank,
        r.recorded_at,
        r.problem
    FROM read_parquet($records) AS r
    LEFT JOIN read_parquet($objects) AS o
        ON o.key = r.key
        AND CASE
            WHEN r.version_id IS NULL THEN o.is_latest
            ELSE o.version_id IS NOT DISTINCT FROM r.version_id
        END
    WHERE o.key IS NOT NULL OR $everything OR r.key = r.recorded_in OR r.key IN (SELECT unnest($gone_keys::VARCHAR[]))
),

named AS (
    SELECT DISTINCT
        unnest($gone_keys::VARCHAR[]) AS key,
        unnest($gone_versions::VARCHAR[]) AS version_id
)

FROM recorded
WHERE recorded_at IS NULL
UNION ALL
-- Of records given by hand, the newest comes before others of the same strength, whatever their algorithms.
SELECT * REPLACE (
    rank + CASE
        WHEN recorded_at < max(recorded_at) OVER (PARTITION BY key, version_id, rank // 100) THEN 50
        ELSE 0
    END AS rank
)
FROM recorded
WHERE recorded_at IS NOT NULL
UNION ALL
SELECT
    n.key, n.version_id, false, NULL, NULL, NULL, 'selection', 0, NULL,
    'it was to be read, but the bucket does not have it'
FROM named AS n
WHERE NOT EXISTS (
    FROM recorded AS r
    WHERE NOT r.listed AND r.key = n.key AND r.version_id IS NOT DISTINCT FROM n.version_id
)
ORDER BY
    key, version_id NULLS FIRST, rank, recorded_at DESC NULLS LAST, recorded_in, algorithm, checksum, problem
