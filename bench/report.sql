-- A table of checksums as a bucket of scanned books would have it. $side is 0 for the source and 1 for
-- its replica. Of $period objects each: one failed on either side, one missing on either side, one
-- that differs, or, if $differ, all. Rows come in key order.
SELECT
    format('collections/c{:04d}/{:07d}/some-file-{:06d}.tif', i // 100000, i // 50, i % 1000000) AS key,
    NULL::VARCHAR AS version_id,
    size,
    etag,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + to_seconds(i % 40000000) AS last_modified,
    'STANDARD' AS storage_class,
    'SHA256' AS algorithm,
    'FULL_OBJECT' AS checksum_type,
    CASE
        WHEN NOT failed
            THEN sha256(concat(etag, CASE WHEN $side = 1 AND ($differ OR i % $period = 20) THEN 'x' END))
    END AS checksum,
    CASE WHEN failed THEN 'failed' ELSE 'succeeded' END AS status,
    CASE WHEN failed THEN 'AccessDenied' END AS error_code,
    CASE WHEN failed THEN 'Access Denied: the key that encrypted this object is not yours' END AS error_message,
    CASE WHEN failed THEN 0 ELSE size END AS bytes_read,
    'streamed' AS evidence,
    TIMESTAMPTZ '2026-03-01 00:00:00+00' + to_microseconds(i * 1234 + $side * 567) AS checked_at,
    'b2f1c0de-0000-4000-8000-000000000000' AS run_id,
    true AS is_latest,
    NULL::VARCHAR AS expected,
    NULL::VARCHAR AS expected_algorithm,
    NULL::VARCHAR AS expected_from,
    CASE WHEN failed THEN 'not_compared' ELSE 'registered' END AS verdict,
    1::INTEGER AS reads,
    NULL::MAP(VARCHAR, VARCHAR) AS other_checksums
FROM (
    SELECT
        i,
        i % $period = 10 + $side AS failed,
        md5(concat('object ', i)) AS etag,
        (hash(i) % 50000000)::BIGINT AS size
    FROM range($first, $last) AS numbers (i)
    WHERE i % $period <> 30 + $side
)
ORDER BY i
