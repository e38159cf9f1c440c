-- A pair's report the way of DuraCloud's: both sides read from their CSVs in place, one view of five
-- parts, evaluated for the CSV and once more for the counts. Written for this benchmark.
CREATE VIEW source AS
SELECT
    key, version_id, task_status,
    json_extract_string(message, '$.checksum_base64') AS checksum,
    json_extract_string(message, '$.checksumAlgorithm') AS algorithm
FROM read_csv({source}, header = false, quote = '"', escape = '"', auto_detect = false, columns = {columns});

CREATE VIEW replica AS
SELECT
    key, version_id, task_status,
    json_extract_string(message, '$.checksum_base64') AS checksum,
    json_extract_string(message, '$.checksumAlgorithm') AS algorithm
FROM read_csv({replica}, header = false, quote = '"', escape = '"', auto_detect = false, columns = {columns});

-- Joined without regard to NULL, so that unversioned objects meet at all.
CREATE VIEW compared AS
SELECT
    'source' AS bucket, s.key, s.version_id,
    CASE WHEN s.checksum = r.checksum THEN 'ok' ELSE 'mismatch' END AS status,
    s.algorithm AS checksum_algorithm, s.checksum AS checksum_source, r.checksum AS checksum_replication,
    CASE WHEN s.checksum = r.checksum THEN 5 ELSE 0 END AS ordinal
FROM source AS s
JOIN replica AS r ON s.key = r.key AND coalesce(s.version_id, '') = coalesce(r.version_id, '')
WHERE s.task_status = 'succeeded' AND r.task_status = 'succeeded'
UNION ALL
SELECT 'source', s.key, s.version_id, 'missing_replica', s.algorithm, s.checksum, NULL, 1
FROM source AS s
ANTI JOIN replica AS r ON s.key = r.key AND coalesce(s.version_id, '') = coalesce(r.version_id, '')
WHERE s.task_status = 'succeeded'
UNION ALL
SELECT 'source', r.key, r.version_id, 'missing_source', r.algorithm, NULL, r.checksum, 2
FROM replica AS r
ANTI JOIN source AS s ON s.key = r.key AND coalesce(s.version_id, '') = coalesce(r.version_id, '')
WHERE r.task_status = 'succeeded'
UNION ALL
SELECT 'source', key, version_id, 'failed_source', NULL, NULL, NULL, 3 FROM source WHERE task_status = 'failed'
UNION ALL
SELECT 'source', key, version_id, 'failed_replication', NULL, NULL, NULL, 4
FROM replica WHERE task_status = 'failed';

COPY (SELECT * EXCLUDE (ordinal) FROM compared ORDER BY ordinal, key) TO {csv} (FORMAT csv, HEADER);

SELECT status, count(*) FROM compared GROUP BY status;
