-- What the reports of all copies of a pair say of each object, within one range of keys. all_copies.py runs these
-- statements in order for each range, with two placeholders filled in. Only the reports decide what is said of a copy; this
-- file puts it side by side. In: the reports as Parquet, all columns text, each with its `place` among the copies, from
-- 1; $names, of the buckets, the source's first; $order, the status words, the worst first.


-- A version's name in all copies: a store without versions has none, and objects from before versioning have S3's
-- version 'null'. One copy's rows within the range, by that name.
CREATE OR REPLACE TEMP MACRO rows_of(file, first, last, lower, upper, by_version) AS TABLE
SELECT
    *,
    CASE WHEN by_version AND version_id NOT IN ('', 'null') THEN version_id END AS version
FROM read_parquet(file)
WHERE file_row_number BETWEEN first AND last AND key >= lower AND (upper IS NULL OR key < upper);


CREATE OR REPLACE TEMP TABLE reported AS {reported};


CREATE OR REPLACE TEMP TABLE objects AS
WITH grouped AS (
    SELECT
        key,
        coalesce(any_value(version_id) FILTER (size_source IS NOT NULL), min(version_id)) AS version_id,
        min(list_position($order, status)) AS worst,
        count(*) AS reports,
        count(size_source) > 0 AS in_source,
        -- The source as it was checked last. Reports of one run rest on the same check, unless it was read again
        -- between two of them.
        max_by(
            struct_pack(
                algorithm := checksum_algorithm, checksum := checksum_source, size := size_source,
                etag := etag_source, checked := checked_source
            ),
            coalesce(checked_source, '')
        ) FILTER (size_source IS NOT NULL) AS source,
        count(DISTINCT coalesce(checked_source, '')) FILTER (size_source IS NOT NULL) > 1 AS other_checks,
        any_value(checksum_algorithm) AS any_algorithm,
        -- Checksums count where the bytes were read on both sides, and can be compared. Where the source has no bytes
        -- to compare with, those of its copies are compared with each other.
        list(
            struct_pack(place := place, algorithm := checksum_algorithm, checksum := checksum_replication)
            ORDER BY place
        ) FILTER (
            status IN ('ok', 'mismatch')
            OR (status IN ('missing_source', 'failed_source') AND checksum_replication IS NOT NULL)
        ) AS compared,
        list_concat(
            CASE WHEN bool_or(diagnosis IN ('source_damaged', 'both_damaged')) THEN [0] ELSE [] END,
            list(place ORDER BY place)
                FILTER (diagnosis IN ('replica_damaged', 'replica_stale', 'both_damaged'))
        ) AS bad,
        {of_copies}
    FROM reported
    GROUP BY key, version
),
counted AS (
    SELECT
        *,
        CASE
            WHEN compared IS NULL OR (source.checksum IS NULL AND len(compared) < 2) THEN []
            WHEN source.checksum IS NULL
                THEN list_filter(compared, lambda each: each.algorithm = compared[1].algorithm)
            ELSE list_prepend(
                struct_pack(place := 0, algorithm := source.algorithm, checksum := source.checksum),
                list_filter(compared, lambda each: each.algorithm = source.algorithm)
            )
        END AS votes,
        list_aggregate(list_transform(votes, lambda each: each.checksum), 'mode') AS most,
        len(list_filter(votes, lambda each: each.checksum = most)) AS same,
        -- Copies of one source that agree with each other against it, or that have all changed, show nothing.
        len(votes) >= 3 AND 2 * same > len(votes) AS is_most,
        list_filter(votes, lambda each: each.checksum = most AND list_contains(bad, each.place)) AS bad_of_most,
        is_most AND len(bad_of_most) = 0 AND (most = source.checksum OR list_contains(bad, 0)) AS is_majority,
        in_source AND reports < len($names) - 1 AS is_partial,
        -- All reports say that it is the same, but not as one and the same check of the source.
        worst = list_position($order, 'ok') AND same <= reports AS is_of_other_checks
    FROM grouped
)
SELECT
    getvariable('bucket') AS bucket,
    key,
    version_id,
    -- An object of the source that a report does not have is not known to be in that copy.
    CASE WHEN is_partial OR is_of_other_checks
        THEN $order[least(worst, list_position($order, 'not_checked'))]
        ELSE $order[worst]
    END AS status,
    coalesce(source.algorithm, any_algorithm) AS checksum_algorithm,
    len(votes) AS copies_compared,
    CASE WHEN is_majority THEN most END AS majority,
    CASE WHEN is_majority THEN nullif(array_to_string(list_transform(
        list_filter(votes, lambda each: each.checksum <> most), lambda each: $names[each.place + 1]
    ), ' '), '') END AS differing,
    nullif(array_to_string(list_transform(bad, lambda place: $names[place + 1]), ' '), '') AS bad_copies,
    nullif(concat_ws(
        '; ',
        CASE WHEN is_partial THEN 'the report of a copy does not have it' END,
        CASE WHEN other_checks THEN 'copies were compared with different checks of the source' END,
        CASE WHEN source.checksum IS NULL AND same < len(votes)
            THEN 'nothing of the source to compare with, and the checksums of its copies differ' END,
        CASE
            WHEN is_majority OR source.checksum IS NULL OR len(votes) < 3 THEN NULL
            WHEN is_most THEN 'most copies are the same, which does not show that they are right'
            ELSE 'no checksum has a majority'
        END
    ), '') AS detail,
    source.checksum AS source_checksum,
    source.size AS source_size,
    source.etag AS source_etag,
    source.checked AS source_checked,
    COLUMNS('.*:.*'),
    in_source
FROM counted;


-- The figures, in the order of `Counts`: each object counts once, by its worst status.
SELECT
    count(*) FILTER (in_source) AS total_objects,
    count(*) FILTER (status = 'ok') AS matches,
    count(*) FILTER (status = 'mismatch') AS mismatches,
    count(*) FILTER (status = 'missing_replica') AS missing_replica,
    count(*) FILTER (status = 'missing_source') AS missing_source,
    count(*) FILTER (status = 'failed_source') AS failed_source,
    count(*) FILTER (status = 'failed_replication') AS failed_replication,
    count(*) FILTER (status = 'incomparable') AS incomparable,
    count(*) FILTER (status = 'not_checked') AS not_checked,
    count(*) FILTER (status = 'pending') AS pending,
    count(*) AS rows,
    (SELECT count(*) FROM reported) AS reported
FROM objects;
