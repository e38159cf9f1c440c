-- What a bucket's ledger, its inventory and its tables of records say of some keys. history.py runs these statements
-- in order; the key comes first in each. In: the table `keys`; the views `checks` (the usable files of the ledger), `inventory` (the newest) and
-- `records` (the usable tables of records), the table `looks` (when the bucket was listed for each of these tables).
-- $horizon: a check with a later time comes from a wrong clock, and says nothing of the order of checks.
CREATE OR REPLACE TEMP TABLE kept AS
SELECT
    key, version_id, etag, last_modified, size, is_latest, checked_at,
    algorithm, checksum, other_checksums,
    -- Of two reads that gave different bytes, only the second gave these.
    CASE WHEN error_code = 'UnstableRead' THEN 1 ELSE reads END AS reads,
    expected, expected_algorithm, expected_from, verdict,
    coalesce(
        status = 'succeeded' AND checksum IS NOT NULL AND checksum_type = 'FULL_OBJECT'
        AND evidence IN ('streamed', 's3_batch', 'step_functions'),
        false
    ) AS read
FROM checks
SEMI JOIN keys USING (key)
WHERE checked_at <= $horizon;


-- The checksums of the bytes of each object, and when they were first and last found, also while it was its key's
-- current version.
SELECT
    key, version_id, etag, last_modified, size,
    algorithm,
    checksum,
    other_checksums,
    min(checked_at) AS first_at,
    max(checked_at) AS last_at,
    min(checked_at) FILTER (coalesce(is_latest, true)) AS current_from,
    max(checked_at) FILTER (coalesce(is_latest, true)) AS current_until,
    sum(coalesce(reads, 1))::BIGINT AS reads,
    arg_max(is_latest, checked_at) AS is_latest
FROM kept
WHERE read
GROUP BY key, version_id, etag, last_modified, size, algorithm, checksum, other_checksums
ORDER BY first_at, last_at, checksum;


-- The records that checks were compared with, and when they found them to be right.
SELECT
    key, version_id, etag, last_modified, size,
    expected_from AS source,
    expected_algorithm AS algorithm,
    expected AS checksum,
    min(checked_at) FILTER (verdict = 'matched') AS since,
    max(checked_at) FILTER (verdict = 'matched') AS until,
    max(checked_at) AS told_at
FROM kept
WHERE expected IS NOT NULL AND expected_from <> 'first_seen' AND verdict IN ('matched', 'differs')
GROUP BY key, version_id, etag, last_modified, size, expected_from, expected_algorithm, expected
ORDER BY told_at, source, algorithm, checksum;


-- The records of the newest look at each object. Of several of one kind and algorithm, only the strongest: a newer one
-- that was given by hand replaces an older one.
SELECT r.key, r.version_id, r.recorded_as AS source, r.algorithm, r.checksum, l.listed_at
FROM records AS r
SEMI JOIN keys USING (key)
JOIN looks AS l ON l.filename = r.filename
WHERE r.listed AND r.problem IS NULL AND r.checksum IS NOT NULL
QUALIFY
    l.listed_at = max(l.listed_at) OVER (PARTITION BY r.key, r.version_id)
    AND r.rank = min(r.rank) OVER (PARTITION BY r.key, r.version_id, r.recorded_as, r.algorithm, l.listed_at);


-- The objects as they are listed.
SELECT key, version_id, etag, last_modified, size, is_latest
FROM inventory
SEMI JOIN keys USING (key);
