-- The report's result for each object of the inventory within a range of keys: one row each, with the number of the
-- object's row in the inventory, in any order. `{rows}` is `joined` if the report has one row for each object, as
-- usual; else `one_each`, which takes longer. absent.py looks for objects that the report does not name.
WITH
listed AS (
    SELECT
        key,
        etag,
        file_row_number AS listed_row,
        CASE WHEN version_id NOT IN ('', 'null') THEN version_id END AS version_named
    FROM read_parquet($inventory)
    WHERE file_row_number BETWEEN $listed_first AND $listed_last
      AND key >= $lower AND ($upper IS NULL OR key < $upper)
),
reported AS (
    SELECT
        key AS reported_key,
        version_id AS reported_version,
        etag AS reported_etag,
        checksum_type,
        checksum,
        error_code,
        error_message
    FROM read_parquet($staged, hive_partitioning = false)
),
joined AS (
    FROM listed
    LEFT JOIN reported
        ON key = reported_key
       AND CASE WHEN $by_version THEN version_named END
           IS NOT DISTINCT FROM CASE WHEN $by_version THEN reported_version END
),
-- If an inventory lists current versions only, a report may name several versions of a key. The ETag tells which
-- one is listed. The others do not count, except for failed ones: they have no ETag, so one of them may be the
-- listed version.
counted AS (
    SELECT
        *,
        reported_etag = etag AS is_it,
        bool_or(coalesce(reported_etag = etag, false)) OVER object AS is_there
    FROM joined
    WINDOW object AS (PARTITION BY key, version_named)
),
candidates AS (
    SELECT
        *,
        count(*) OVER object AS rows,
        count(*) OVER (PARTITION BY key, version_named, reported_version) AS rows_of_version,
        -- Without a listed ETag, any of them may be the listed version, so they must all agree.
        (is_there OR etag IS NULL) AND (
            min(checksum) OVER object IS DISTINCT FROM max(checksum) OVER object
            OR count(checksum) OVER object NOT IN (0, count(*) OVER object)
        ) AS contradictory,
        row_number() OVER (
            PARTITION BY key, version_named
            ORDER BY reported_etag IS NOT NULL, error_code IS NULL, reported_version, error_message
        ) AS number,
        is_there AND reported_etag IS NULL AS untold
    FROM counted
    WHERE is_it OR reported_etag IS NULL OR NOT is_there
    WINDOW object AS (PARTITION BY key, version_named)
),
-- Contradicting results give no checksum.
one_each AS (
    SELECT
        * EXCLUDE (is_it, is_there, rows, rows_of_version, contradictory, number, untold)
        REPLACE (
            CASE WHEN rows_of_version = 1 AND NOT contradictory THEN checksum END AS checksum,
            CASE
                WHEN rows_of_version > 1 THEN 'ReportedTwice'
                WHEN untold THEN 'VersionNotTold'
                WHEN contradictory THEN 'ContradictoryChecksum'
                ELSE error_code
            END AS error_code,
            CASE
                WHEN rows_of_version > 1 THEN concat('the report has ', rows_of_version, ' rows for this object')
                WHEN untold THEN concat(
                    'S3 could not read the version ', coalesce(reported_version, 'null'), ' (', error_code, ': ',
                    error_message, '), and the inventory does not tell whether it is the current one'
                )
                WHEN contradictory THEN 'versions that may be the listed one have other checksums'
                ELSE error_message
            END AS error_message
        )
    FROM candidates
    WHERE number = 1
)
SELECT
    listed_row,
    status,
    CASE WHEN status = 'succeeded' THEN checksum_type END AS checksum_type,
    CASE WHEN status = 'succeeded' THEN lower(hex(checksum)) END AS checksum,
    CASE
        WHEN status = 'failed' THEN error_code
        WHEN status = 'skipped' AND reported_key IS NULL THEN 'NotInReport'
        WHEN status = 'skipped' THEN 'ChangedSinceListed'
    END AS error_code,
    CASE
        WHEN status = 'failed' THEN error_message
        WHEN status = 'skipped' AND reported_key IS NULL
            THEN 'the report of S3 does not name it: deleted since it was listed, or not asked for'
        WHEN status = 'skipped' THEN 'the object was overwritten since it was listed'
    END AS error_message
FROM (
    SELECT
        *,
        CASE
            WHEN reported_key IS NULL THEN 'skipped'
            WHEN error_code IS NOT NULL THEN 'failed'
            WHEN etag IS NULL OR reported_etag = etag THEN 'succeeded'
            ELSE 'skipped'
        END AS status
    FROM {rows}
)
WHERE reported_key IS NOT NULL OR $whole
