-- Compares a map run's results for a bucket with the bucket's inventory. keep_checks.py runs the last four of these
-- statements in order for each range of keys. In: `$results`, and the view `inventory` with the expected checksums.
-- Out: checks without a verdict, and counts of the results that were left out.


-- Keys to cut ranges at, in order.
SELECT key FROM (
    SELECT key FROM read_parquet($results) USING SAMPLE reservoir(10000 ROWS) REPEATABLE (1)
)
ORDER BY key;


CREATE OR REPLACE TEMP TABLE judged AS
WITH
results AS (
    FROM read_parquet($results)
    WHERE bucket = $bucket AND key >= $lower AND ($upper IS NULL OR key < $upper)
),
listed AS (FROM inventory WHERE key >= $lower AND ($upper IS NULL OR key < $upper)),
-- A result without a version is of the current one.
matched AS (
    SELECT results.*, listed
    FROM results LEFT JOIN listed ON listed.key = results.key AND listed.version_id = results.version_id
    WHERE results.version_id IS NOT NULL
    UNION ALL
    SELECT results.*, listed
    FROM results LEFT JOIN (FROM listed WHERE is_latest) AS listed ON listed.key = results.key
    WHERE results.version_id IS NULL
)
SELECT
    *,
    CASE
        WHEN listed.key IS NULL THEN 'not_listed'

        -- A version's bytes never change, except for the version 'null', which an overwrite replaces.
        WHEN version_id <> 'null' THEN NULL

        -- No read began after the manifest was written, whose time is in whole seconds. A later time means a wrong
        -- clock.
        WHEN began IS NULL OR began > $written_at + INTERVAL 1 SECOND THEN 'time_unknown'

        WHEN written_since(listed.last_modified, began) THEN 'written_since'
    END AS left_out
FROM matched;


-- One row for each object version: the newest of several results, marked if they contradict each other. Sorting
-- is another statement: windows and a sort in one would each take all the memory.
CREATE OR REPLACE TEMP TABLE counted AS
SELECT * FROM (
    SELECT
        listed.* EXCLUDE (checksum_algorithm, filename),
        algorithm, checksum, status, error_code, error_message, began, ended,
        min(checksum) OVER same_object <> max(checksum) OVER same_object AS contradicted,
        row_number() OVER (same_object ORDER BY ended DESC NULLS LAST, position DESC) AS place
    FROM judged
    WHERE left_out IS NULL
    WINDOW same_object AS (PARTITION BY listed.key, listed.version_id)
)
WHERE place = 1;


SELECT
    key,
    version_id,
    size,
    etag,
    last_modified,
    storage_class,
    algorithm,
    CASE WHEN checksum IS NOT NULL AND contradicted IS NOT TRUE THEN 'FULL_OBJECT' END AS checksum_type,
    CASE WHEN contradicted IS NOT TRUE THEN checksum END AS checksum,
    CASE WHEN contradicted THEN 'failed' ELSE status END AS status,
    CASE WHEN contradicted THEN 'Contradiction' ELSE error_code END AS error_code,
    CASE WHEN contradicted THEN 'the map run gives different checksums of it' ELSE error_message END
        AS error_message,
    0::BIGINT AS bytes_read,
    'step_functions' AS evidence,
    -- The object was as it was found at the beginning at the earliest, and `told_at` at the latest. Where no beginning
    -- is known, the end counts.
    least(ended, $written_at) AS told_at,
    least(began, told_at) AS checked_at,
    $run_id AS run_id,
    is_latest,
    expectations
FROM counted
ORDER BY key, version_id NULLS FIRST;


SELECT left_out, count(*) FROM judged WHERE left_out IS NOT NULL GROUP BY ALL ORDER BY ALL;
