-- What is known of objects after a run over the whole bucket, as far as something is expected of them by it.
-- In: the views `newest_file` (the run's file of the ledger) and `odd` (rows of the snapshot, of the keys in the
-- table `keys`, whose rows in the file do not say it by themselves). Out: the view `now`.
CREATE OR REPLACE TEMP VIEW now AS
SELECT
    key,
    content(version_id, etag, last_modified, size) AS content,
    checksum AS baseline,
    algorithm AS baseline_algorithm,
    CASE verdict WHEN 'registered' THEN 'first_seen' ELSE expected_from END AS baseline_from,
    NULL::VARCHAR AS record,
    NULL::VARCHAR AS record_algorithm,
    NULL::VARCHAR AS record_from,
    NULL::TIMESTAMPTZ AS damaged_at
FROM (FROM newest_file ANTI JOIN keys USING (key))
UNION ALL BY NAME
SELECT
    key,
    content(version_id, etag, last_modified, size) AS content,
    baseline, baseline_algorithm, baseline_from, record, record_algorithm, record_from, damaged_at
FROM odd
