-- One event for each object of a replica that a pair's report finds to be the same as its source's. In: {report}, the
-- rows of the report, all text; the view `exported`, events that exports have. Out: columns of an export.
-- $version: whether the pair matches by version; else the replica's version is not known from the report.
SELECT
    event_id,
    'replication' AS event_type,
    -- When both were known to be the same.
    greatest(checked_source, checked_replication)::TIMESTAMPTZ AS event_datetime,
    'success' AS outcome,
    'the replica has the bytes of the source' AS outcome_note,
    $bucket AS bucket,
    key,
    CASE WHEN $by_version THEN version_id END AS version_id,
    uri($place, key, CASE WHEN $by_version THEN version_id END) AS object_uri,
    uri($source_place, key, version_id) AS source_uri,
    size_replication::BIGINT AS size,
    etag_replication AS etag,
    checksum_algorithm AS algorithm,
    checksum_replication AS actual,
    checksum_source AS expected,
    'other-copy' AS expected_from,
    0::BIGINT AS bytes_read,
    'report' AS evidence,
    '' AS run_id,
    $agent AS agent
FROM (
    SELECT
        *,
        uuid5(sha1(from_hex($namespace) || encode(concat_ws(
            chr(10), 'replication', $bucket, $source, key, coalesce(version_id, ''), coalesce(etag_replication, '')
        )))) AS event_id
    FROM {report}
    WHERE status = 'ok'
)
ANTI JOIN (SELECT event_id FROM exported WHERE event_type = 'replication') USING (event_id)
