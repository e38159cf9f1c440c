-- What a second look has to do about the suspect rows of a comparison that need one, in the order of the report. In:
-- the table `suspects` (SUSPECTS); for each side, when its bucket was listed; $algorithm, of both buckets. Out: the
-- columns of these rows, and what is to be read.
-- What a confirmed check is, stands in fixity/reports/suspects.sql; one by another algorithm is none.
SELECT
    *,
    status IN ('missing_source', 'missing_replica') AS is_missing,
    -- Of a row that could not be read, the side that failed. What is missing on a side is asked for on both.
    NOT is_missing AND (status = 'mismatch' OR source_status = 'failed') AND NOT coalesce(
        source_algorithm = $algorithm
        AND is_confirmed(source_verdict, source_reads, source_checked_at, $source_listed_at),
        false
    ) AS read_source,
    NOT is_missing AND (status = 'mismatch' OR replica_status = 'failed') AND NOT coalesce(
        replica_algorithm = $algorithm
        AND is_confirmed(replica_verdict, replica_reads, replica_checked_at, $replica_listed_at),
        false
    ) AS read_replica
FROM suspects
WHERE is_missing OR read_source OR read_replica
ORDER BY key, version_id NULLS FIRST;
