-- An event a check. The view `checks` holds the checks, `made` which software made those of a file, `now`
-- their objects with the baselines. A check that could not read the bytes, or had nothing to read, says
-- nothing of them: a warning.
WITH compared AS (
    SELECT
        c.*,
        made.agent,
        CASE WHEN c.status = 'succeeded' THEN c.checksum END AS actual,
        -- Only what was registered by the time of the check: what came later would make another event of it.
        CASE WHEN trusted(b.baseline_at, $horizon) <= c.checked_at THEN b.baseline END AS expected,
        b.baseline_at,
        b.baseline_from,
        b.baseline_from = 'first_seen' AND b.baseline_run = c.run_id AND b.baseline_at = c.checked_at AS registers,
        sha1(
            from_hex($namespace)
            || encode(concat_ws(
                chr(10), $bucket, c.key, coalesce(c.version_id, ''), coalesce(c.etag, ''), c.algorithm,
                c.run_id, epoch_us(c.checked_at)
            ))
        ) AS h
    FROM (SELECT *, content(version_id, etag, last_modified, size) AS content FROM checks) AS c
    LEFT JOIN now AS b USING (key, content, algorithm)
    JOIN made ON made.filename = c.filename
    WHERE c.checked_at IS NOT NULL
)

SELECT
    -- RFC 9562, version 5: a name's SHA-1 with the version's and the variant's bits set.
    concat_ws(
        '-', h[1:8], h[9:12], '5' || h[14:16],
        substr('89ab89ab89ab89ab', instr('0123456789abcdef', h[17]), 1) || h[18:20], h[21:32]
    ) AS event_id,
    'fixity check' AS event_type,
    checked_at AS event_datetime,
    CASE
        WHEN actual IS NULL OR checksum_type <> 'FULL_OBJECT' OR expected IS NULL THEN 'warning'
        WHEN actual = expected THEN 'success'
        ELSE 'fail'
    END AS outcome,
    CASE
        WHEN actual IS NULL THEN status || ': ' || coalesce(error_code, '') || ': ' || coalesce(error_message, '')
        WHEN checksum_type <> 'FULL_OBJECT' OR expected IS NULL THEN 'nothing to compare with'
        WHEN registers THEN 'registered as the baseline'
        WHEN actual = expected THEN 'the same as the baseline'
        ELSE 'differs from the baseline'
    END AS outcome_note,
    $bucket AS bucket,
    key,
    version_id,
    $place || replace(url_encode(key), '%2F', '/') || coalesce('?versionId=' || url_encode(version_id), '')
        AS object_uri,
    size,
    etag,
    algorithm,
    expected,
    CASE WHEN expected IS NOT NULL THEN baseline_from END AS expected_from,
    CASE WHEN expected IS NOT NULL THEN baseline_at END AS expected_at,
    actual,
    bytes_read,
    evidence,
    run_id,
    agent
FROM compared
