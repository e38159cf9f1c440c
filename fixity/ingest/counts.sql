-- Counts the newest row of each object. Objects that were deleted or overwritten before the newest listing no longer
-- count; objects of that listing that no run read are `unread`. In: the view `tables` (INGEST), `$listing`, and `$first`, how many objects
-- are named.
WITH newest AS (
    SELECT *
    FROM tables
    QUALIFY row_number() OVER (
        PARTITION BY key, version_id ORDER BY checked_at DESC NULLS LAST, run_id DESC, result, checksum
    ) = 1
),

read_last AS (
    SELECT key, max(checked_at) AS checked_at
    FROM newest
    WHERE status <> 'missing'
    GROUP BY key
),

current_rows AS (
    SELECT n.*
    FROM newest AS n
    LEFT JOIN read_parquet($listing) AS o
        ON o.key = n.key AND o.version_id IS NOT DISTINCT FROM n.version_id
    LEFT JOIN read_last AS r ON r.key = n.key
    WHERE CASE
        -- To be checked and missing, but without a record: this concerns only that run.
        WHEN n.status = 'missing' AND n.recorded_in IS NULL THEN false
        WHEN n.status = 'missing' AND n.version_id IS NULL AND r.checked_at > n.checked_at THEN false
        WHEN $listed_at::TIMESTAMPTZ IS NULL OR n.checked_at >= $listed_at::TIMESTAMPTZ THEN true
        WHEN n.status = 'missing' THEN o.key IS NULL
        ELSE o.key IS NOT NULL AND o.etag IS NOT DISTINCT FROM n.etag
    END
)

SELECT
    count(*) FILTER (status <> 'missing') AS objects,
    count(*) FILTER (result = 'MATCHED') AS matched,
    count(*) FILTER (result = 'NOTMATCHED') AS not_matched,
    count(*) FILTER (result = 'SKIPPED') AS skipped,
    count(*) FILTER (status = 'failed') AS failed,
    count(*) FILTER (status = 'missing') AS missing,
    count(*) FILTER (conflicts > 0) AS conflicts,
    count(*) FILTER (result = 'SKIPPED' AND error_code = 'EtagConflict') AS etag_conflicts,
    count(*) FILTER (expected IS NULL) AS without_record,
    coalesce(sum(unusable_records), 0)::BIGINT AS unusable_records,
    coalesce(sum(lost_records), 0)::BIGINT AS lost_records,
    count(*) FILTER (tags_written = 'yes') AS tags_written,
    count(*) FILTER (tags_written <> 'yes') AS tags_not_written,
    coalesce((list(key ORDER BY key) FILTER (unusable_records > 0))[:$first], []) AS first_unusable,
    coalesce((list(key ORDER BY key) FILTER (lost_records > 0))[:$first], []) AS first_lost,
    coalesce(min(key, $first) FILTER (result = 'NOTMATCHED'), []) AS first_not_matched,
    coalesce(min(key, $first) FILTER (status = 'failed'), []) AS first_failed,
    coalesce(min(key, $first) FILTER (status = 'missing'), []) AS first_missing,
    (
        SELECT count(*)
        FROM read_parquet($listing) AS o
        WHERE NOT EXISTS (
            FROM current_rows AS s WHERE s.key = o.key AND s.version_id IS NOT DISTINCT FROM o.version_id
        )
    ) AS unread
FROM current_rows
