-- One event for each check. In: the views `known` (checks, each with its object's baseline: see baselines.sql) and
-- `made` (the software that made the checks of each file, and whether they are second looks). Out: the columns of an
-- export. A check that did not read the bytes is a warning.
--
-- A check's row has the checksum that it was compared with. Two kinds of checks need the snapshot instead: those of
-- earlier versions, which have no verdict, and those that registered a checksum, because another run may have
-- registered one before.
WITH found AS (
    SELECT
        c.* EXCLUDE (baseline_at, baseline_run),
        made.agent,
        made.second_look,
        c.verdict IN ('matched', 'differs') AS is_compared,
        -- Only a baseline registered by the time of the check: a later one would change the event.
        CASE WHEN trusted(c.baseline_at, $horizon) <= c.checked_at THEN c.baseline_at END AS baseline_at,
        c.baseline_run = c.run_id AND c.baseline_at = c.checked_at AS is_first,
        sha1(
            from_hex($namespace)
            || encode(concat_ws(
                chr(10), $bucket, c.key, coalesce(c.version_id, ''), coalesce(c.etag, ''), c.algorithm,
                c.run_id, epoch_us(c.checked_at)
            ))
        ) AS h
    FROM known AS c
    JOIN made USING (filename)
    WHERE c.checked_at IS NOT NULL
),

compared AS (
    SELECT
        * EXCLUDE (algorithm, expected, expected_algorithm, expected_from),
        CASE WHEN is_compared THEN expected_algorithm ELSE algorithm END AS algorithm,
        CASE
            WHEN is_compared AND expected_algorithm <> algorithm THEN other_checksums[expected_algorithm]
            WHEN status = 'succeeded' THEN checksum
        END AS actual,
        coalesce(verdict = 'registered' AND NOT by_baseline, by_baseline AND is_first AND baseline_from = 'first_seen')
            AS registers,
        CASE WHEN is_compared THEN expected WHEN by_baseline THEN baseline WHEN verdict = 'registered' THEN checksum END
            AS expected,
        CASE
            WHEN is_compared THEN expected_from
            WHEN by_baseline THEN baseline_from
            WHEN verdict = 'registered' THEN 'first_seen'
        END AS expected_from,
        CASE
            WHEN by_baseline THEN baseline_at
            WHEN verdict = 'registered' THEN checked_at
            WHEN baseline = expected AND baseline_algorithm = expected_algorithm AND baseline_from = expected_from
                THEN baseline_at
        END AS expected_at
    FROM (
        SELECT
            *,
            coalesce(verdict = 'registered', verdict IS NULL) AND baseline_at IS NOT NULL
                AND baseline_algorithm = algorithm AS by_baseline
        FROM found
    )
)

SELECT
    uuid5(h) AS event_id,
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
        ELSE concat_ws('; ', 'differs from the baseline', error_message)  -- whether it was looked at twice
    END AS outcome_note,
    $bucket AS bucket,
    key,
    version_id,
    uri($place, key, version_id) AS object_uri,
    size,
    etag,
    algorithm,
    expected,
    expected_from,
    expected_at,
    actual,
    bytes_read,
    evidence,
    run_id,
    agent,
    reads,
    second_look
FROM compared
