-- The objects that are read with the algorithm $now: that of the first usable record, else $usual.
SELECT o.*
FROM read_parquet($objects) AS o
LEFT JOIN (
    SELECT key, version_id, algorithm
    FROM read_parquet($baselines)
    WHERE listed AND problem IS NULL
    QUALIFY row_number() OVER (
        PARTITION BY key, version_id
        ORDER BY rank, recorded_at DESC NULLS LAST, recorded_in, algorithm, checksum
    ) = 1
) AS r
    ON r.key = o.key
    AND r.version_id IS NOT DISTINCT FROM o.version_id
WHERE coalesce(r.algorithm, $usual) = $now
ORDER BY o.key, o.version_id NULLS FIRST
