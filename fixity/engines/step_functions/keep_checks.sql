-- What a map run told of a bucket's objects, held against what the bucket holds. keep_checks.py runs the
-- last four of these statements one after the other for each range of keys. In: `$told`, and the view `inventory` with
-- what is expected of each object. Out: checks that are yet to be judged, and counts of what was left out.


-- Keys to cut ranges at, in order.
SELECT key FROM (
    SELECT key FROM read_parquet($told) USING SAMPLE reservoir(10000 ROWS) REPEATABLE (1)
)
ORDER BY key;


CREATE OR REPLACE TEMP TABLE judged AS
WITH
told AS (
    FROM read_parquet($told)
    WHERE bucket = $bucket AND key >= $lower AND ($upper IS NULL OR key < $upper)
),
listed AS (FROM inventory WHERE key >= $lower AND ($upper IS NULL OR key < $upper)),
-- A result that names its version is one of that version, else of the current one.
matched AS (
    SELECT told.*, listed
    FROM told LEFT JOIN listed ON listed.key = told.key AND listed.version_id = told.version_id
    WHERE told.version_id IS NOT NULL
    UNION ALL
    SELECT told.*, listed
    FROM told LEFT JOIN (FROM listed WHERE is_latest) AS listed ON listed.key = told.key
    WHERE told.version_id IS NULL
)
SELECT
    *,
    CASE
        WHEN listed.key IS NULL THEN 'not_listed'

        -- Nobody can change a version's bytes, but for the version 'null', which an overwrite replaces.
        WHEN version_id <> 'null' THEN NULL

        -- Nothing began after the manifest was written, whose time is given in whole seconds: else a clock was wrong.
        WHEN began IS NULL OR began > $told_at + INTERVAL 1 SECOND THEN 'time_unknown'

        -- Listings give whole seconds: what was written up to a second later reads the same.
        WHEN listed.last_modified IS NULL OR listed.last_modified + INTERVAL 1 SECOND > began THEN 'written_since'
    END AS left_out
FROM matched;


-- One row an object version: the newest of several results, or none of them where they contradict. A
-- statement of its own: windows and a sort at once would each want all the memory.
CREATE OR REPLACE TEMP TABLE counted AS
SELECT * FROM (
    SELECT
        listed.* EXCLUDE (checksum_algorithm, filename),
        algorithm, checksum, status, error_code, error_message, ended,
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
    least(coalesce(ended, $told_at), $told_at) AS checked_at,
    $run_id AS run_id,
    is_latest,
    expectations
FROM counted
ORDER BY key, version_id NULLS FIRST;


SELECT left_out, count(*) FROM judged WHERE left_out IS NOT NULL GROUP BY ALL ORDER BY ALL;
