-- What a second look has to do about the suspect rows of a comparison that need one, in the order of the report. In:
-- $suspects, a file of SUSPECTS; for each side, when its bucket was listed; $algorithm, of both buckets. Out: the
-- columns of these rows, and what is to be read.
--
-- A check is confirmed if its bytes were as expected, or were read twice since the listing.
CREATE OR REPLACE TEMP MACRO is_confirmed(own, algorithm, verdict, reads, checked_at, listed_at) AS coalesce(
    own = algorithm AND (verdict = 'matched' OR reads >= 2 AND checked_at >= listed_at), false
);


SELECT
    *,
    status IN ('missing_source', 'missing_replica') AS is_missing,
    -- Of a row that could not be read, the side that failed. What is missing on a side is asked for on both.
    NOT is_missing AND (status = 'mismatch' OR source_status = 'failed') AND NOT is_confirmed(
        source_algorithm, $algorithm, source_verdict, source_reads, source_checked_at, $source_listed_at
    ) AS read_source,
    NOT is_missing AND (status = 'mismatch' OR replica_status = 'failed') AND NOT is_confirmed(
        replica_algorithm, $algorithm, replica_verdict, replica_reads, replica_checked_at, $replica_listed_at
    ) AS read_replica
FROM read_parquet($suspects)
WHERE is_missing OR read_source OR read_replica
ORDER BY key, version_id NULLS FIRST;
