-- What a second look has to do about the suspect rows of a comparison that need one, in the order of the report. In: $suspects, a
-- file of SUSPECTS; for each side, when its bucket was listed; $algorithm, of both buckets. Out: a row each, with both
-- sides' objects as they are listed and were checked, NULL where a side has none.
--
-- A check is confirmed if its bytes were as expected, or were read twice since the listing.
CREATE OR REPLACE TEMP MACRO is_confirmed(side, algorithm, listed_at) AS coalesce(
    side.algorithm = algorithm AND (side.verdict = 'matched' OR side.reads >= 2 AND side.checked_at >= listed_at),
    false
);


WITH sides AS (
    SELECT
        key,
        version_id,
        status,
        status IN ('missing_source', 'missing_replica') AS is_missing,
        CASE WHEN source_size IS NOT NULL THEN struct_pack(
            version_id := source_version_id, is_latest := source_is_latest, size := source_size, etag := source_etag,
            last_modified := source_last_modified, storage_class := source_storage_class,
            algorithm := source_algorithm, checksum := source_checksum, status := source_status,
            verdict := source_verdict, reads := source_reads, checked_at := source_checked_at
        ) END AS source,
        CASE WHEN replica_size IS NOT NULL THEN struct_pack(
            version_id := replica_version_id, is_latest := replica_is_latest, size := replica_size,
            etag := replica_etag, last_modified := replica_last_modified, storage_class := replica_storage_class,
            algorithm := replica_algorithm, checksum := replica_checksum, status := replica_status,
            verdict := replica_verdict, reads := replica_reads, checked_at := replica_checked_at
        ) END AS replica
    FROM read_parquet($suspects)
)
SELECT
    *,
    -- Of a row that could not be read, the side that failed. What is missing on a side is asked for on both.
    NOT is_missing AND (status = 'mismatch' OR source.status = 'failed')
        AND NOT is_confirmed(source, $algorithm, $source_listed_at) AS read_source,
    NOT is_missing AND (status = 'mismatch' OR replica.status = 'failed')
        AND NOT is_confirmed(replica, $algorithm, $replica_listed_at) AS read_replica
FROM sides
WHERE is_missing OR read_source OR read_replica
ORDER BY key, version_id NULLS FIRST;
