-- The row of a report that counts for each object, where an object may have several. In: Arrow tables of the objects
-- of a range of keys (`listed_rows`) and of the report's rows (`reported_rows`). Out: a row for each object, in
-- order, with the numbers of its rows in both tables, and the error if its results contradict each other.
WITH
listed AS (
    SELECT
        key,
        etag,
        listed_row,
        CASE WHEN version_id NOT IN ('', 'null') THEN version_id END AS version_named
    FROM listed_rows
),
reported AS (
    SELECT
        key AS reported_key,
        version_id AS reported_version,
        etag AS reported_etag,
        reported_row,
        checksum,
        error_code,
        error_message
    FROM reported_rows
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
)
-- Contradicting results give no checksum.
SELECT
    listed_row,
    reported_row,
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
FROM candidates
WHERE number = 1
ORDER BY listed_row
