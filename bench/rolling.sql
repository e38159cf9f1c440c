-- Rows of a bucket of scanned books, as listed and as checked by the run of number $run.
SELECT
    format('collections/c{:04d}/{:07d}/some-file-{:06d}.tif', i // 100000, i // 50, i % 1000000) AS key,
    NULL::VARCHAR AS version_id,
    true AS is_latest,
    (hash(i) % 50000000)::BIGINT AS size,
    md5(concat('object ', i)) AS etag,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(i % 40000000) AS last_modified,
    'STANDARD' AS storage_class,
    'SHA256' AS algorithm,
    'FULL_OBJECT' AS checksum_type,
    sha256(concat('object ', i)) AS checksum,
    'succeeded' AS status,
    NULL::VARCHAR AS error_code,
    NULL::VARCHAR AS error_message,
    (hash(i) % 50000000)::BIGINT AS bytes_read,
    'streamed' AS evidence,
    $begun + to_minutes(30 * $run) + to_microseconds(i * 1234 % 600000000) AS checked_at,
    format('run-{:06d}', $run) AS run_id,
    -- The first pass over all objects registers their checksums; the same is found later.
    CASE WHEN $again THEN checksum END AS expected,
    CASE WHEN $again THEN algorithm END AS expected_algorithm,
    CASE WHEN $again THEN 'first_seen' END AS expected_from,
    CASE WHEN $again THEN 'matched' ELSE 'registered' END AS verdict,
    1::INTEGER AS reads,
    NULL::MAP(VARCHAR, VARCHAR) AS other_checksums
FROM range($first, $last, $step) AS numbers (i)
ORDER BY i
