-- Each object with what was computed and the record that counts: the first usable one. Of each algorithm the
-- usable records that differ from its first are conflicts. What a record names, or the run was to look at, and
-- the bucket does not have, is a row of its own.
WITH usable AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY key, version_id
            ORDER BY rank, recorded_at DESC NULLS LAST, recorded_in, algorithm, checksum
        ) AS place
    FROM read_parquet($baselines)
    WHERE problem IS NULL
),

unusable AS (
    SELECT
        key,
        version_id,
        count(*) AS records,
        string_agg(recorded_in || ': ' || problem, '; ' ORDER BY rank, recorded_in, problem) AS said
    FROM read_parquet($baselines)
    WHERE problem IS NOT NULL
    GROUP BY key, version_id
),

of_each_algorithm AS (
    SELECT
        *,
        first_value(checksum) OVER (PARTITION BY key, version_id, algorithm ORDER BY place) AS first_checksum
    FROM usable
),

others AS (
    SELECT
        key,
        version_id,
        count(*) AS conflicts,
        string_agg(recorded_in || ' says ' || checksum, '; ' ORDER BY place) AS said
    FROM of_each_algorithm
    WHERE checksum <> first_checksum
    GROUP BY key, version_id
),

recorded_and_not_there AS (
    SELECT DISTINCT key, version_id FROM read_parquet($baselines) WHERE NOT listed
),

-- Keys and versions that were named and were not there.
named AS (
    SELECT DISTINCT
        unnest($gone_keys::VARCHAR[]) AS key,
        unnest($gone_versions::VARCHAR[]) AS version_id
),

not_there AS (
    SELECT key, version_id, true AS recorded FROM recorded_and_not_there
    UNION ALL
    SELECT n.key, n.version_id, false
    FROM named AS n
    WHERE NOT EXISTS (
        FROM recorded_and_not_there AS r
        WHERE r.key = n.key AND r.version_id IS NOT DISTINCT FROM n.version_id
    )
)

SELECT
    c.key,
    c.version_id,
    c.size,
    c.etag,
    c.last_modified,
    c.storage_class,
    CASE
        WHEN c.checksum IS NULL OR r.checksum IS NULL THEN 'SKIPPED'
        WHEN c.checksum = r.checksum THEN 'MATCHED'
        ELSE 'NOTMATCHED'
    END AS result,
    CASE WHEN c.checksum IS NULL OR r.checksum IS NULL THEN 'none' ELSE r.recorded_as END AS compared_with,
    c.algorithm,
    c.checksum,
    r.checksum AS expected,
    r.recorded_in,
    coalesce(o.conflicts, 0) AS conflicts,
    coalesce(u.records, 0) AS unusable_records,
    c.status,
    c.error_code,
    nullif(concat_ws('; ', c.error_message, o.said, u.said), '') AS detail,
    NULL AS tags_written,
    c.checked_at,
    $run_id AS run_id
FROM read_parquet($checks) AS c
LEFT JOIN usable AS r
    ON r.key = c.key AND r.version_id IS NOT DISTINCT FROM c.version_id AND r.place = 1
LEFT JOIN others AS o ON o.key = c.key AND o.version_id IS NOT DISTINCT FROM c.version_id
LEFT JOIN unusable AS u ON u.key = c.key AND u.version_id IS NOT DISTINCT FROM c.version_id
UNION ALL
SELECT
    m.key,
    m.version_id,
    NULL,
    NULL,
    NULL,
    NULL,
    'SKIPPED',
    'none',
    r.algorithm,
    NULL,
    r.checksum,
    coalesce(r.recorded_in, u.said),
    coalesce(o.conflicts, 0),
    coalesce(u.records, 0),
    'missing',
    'Missing',
    concat_ws(
        '; ',
        CASE
            WHEN m.recorded THEN 'it is recorded, but the bucket does not have it'
            ELSE 'it was to be read, but the bucket does not have it'
        END,
        o.said,
        u.said
    ),
    NULL,
    $now,
    $run_id
FROM not_there AS m
LEFT JOIN usable AS r
    ON r.key = m.key AND r.version_id IS NOT DISTINCT FROM m.version_id AND r.place = 1
LEFT JOIN others AS o ON o.key = m.key AND o.version_id IS NOT DISTINCT FROM m.version_id
LEFT JOIN unusable AS u ON u.key = m.key AND u.version_id IS NOT DISTINCT FROM m.version_id
ORDER BY ALL
