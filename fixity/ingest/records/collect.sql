-- The records of the objects of an inventory, each with its object's version. A record without a version
-- speaks of the current one. Where the inventory is the whole bucket, a record of an object that is not
-- in it stays, as not listed: what a manifest names should be there.
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
WHERE o.key IS NOT NULL OR $everything OR r.key IN (SELECT unnest($gone::VARCHAR[]))
ORDER BY
    r.key, version_id NULLS FIRST, r.rank, r.recorded_at DESC NULLS LAST, r.recorded_in, r.algorithm, r.checksum,
    r.problem
