-- The first part of the statement in fold.sql: what each new check means for its object.
-- In: the views `prior` and `news`, cut to one range of keys. Out: `before` (rows of the snapshot before), `judged` (a row
-- for each check) and `changed` (a row for each object that was checked).
checks AS (
    SELECT
        * EXCLUDE (verdict, expected, expected_algorithm, expected_from),
        -- Where ETags are not MD5s, a check that was compared with one was compared with nothing.
        $etag_is_md5 OR expected_from IS DISTINCT FROM 'object-etag' AS is_compared,
        CASE WHEN is_compared THEN verdict END AS verdict,
        CASE WHEN is_compared THEN expected END AS expected,
        CASE WHEN is_compared THEN expected_algorithm END AS expected_algorithm,
        CASE WHEN is_compared THEN expected_from END AS expected_from,
        content(version_id, etag, last_modified, size) AS content,
        trusted(checked_at, $horizon) AS made_at,
        coalesce(
            status = 'succeeded' AND checksum IS NOT NULL AND checksum_type = 'FULL_OBJECT'
            AND evidence IN ('streamed', 's3_batch', 'step_functions'),
            false
        ) AS read,
        status <> 'succeeded' AS without_result
    FROM news
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper) AND checked_at IS NOT NULL
),

before AS (
    SELECT
        *,
        content(version_id, etag, last_modified, size) AS content,
        trusted(checked_at, $horizon) AS made_at,
        trusted(verified_at, $horizon) AS read_at,
        trusted(good_at, $horizon) AS right_at
    FROM prior
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper)
),

-- How many checks an object has, and whether they contradict each other. Runs in parallel may have registered
-- different checksums; only the first of them counts, or none if another run had a record.
objects AS (
    SELECT
        hash(c.key) AS key_hash,
        c.content,
        count(*) AS checks,
        bool_or(c.verdict = 'registered') AND (
            coalesce(bool_or(c.verdict = 'registered' AND c.checksum <> b.baseline), false)
            OR min(hash(coalesce(c.expected, c.checksum)))
                FILTER (WHERE c.verdict = 'registered' OR c.expected_algorithm = c.algorithm)
            <> max(hash(coalesce(c.expected, c.checksum)))
                FILTER (WHERE c.verdict = 'registered' OR c.expected_algorithm = c.algorithm)
        ) AS contested
    FROM checks AS c
    LEFT JOIN before AS b
        ON b.key = c.key AND b.content = c.content AND b.baseline_algorithm = c.algorithm
    GROUP BY hash(c.key), c.content
),

counted AS (
    SELECT
        c.*,
        o.checks = 1 AS alone,
        struct_pack(expected, expected_algorithm, expected_from, verdict) AS as_kept,
        read AND coalesce(
            verdict IS NULL
            OR contested AND (
                verdict = 'registered' OR expected_from = 'first_seen' AND expected_algorithm = algorithm
            ),
            false
        ) AS anew
    FROM checks AS c
    JOIN objects AS o ON o.key_hash = hash(c.key) AND o.content = c.content
),

-- These, and checks of earlier versions without a verdict, are compared with the record of their algorithm,
-- otherwise with the baseline, otherwise with the first of them.
compared_anew AS (
    SELECT
        c.* EXCLUDE (expected, expected_from),
        coalesce(r.expected, b.baseline, first_value(c.checksum) OVER in_order) AS expected,
        coalesce(r.expected_from, b.baseline_from, 'first_seen') AS expected_from,
        r.expected IS NULL AND b.baseline IS NULL AND row_number() OVER in_order = 1 AS is_first
    FROM counted AS c
    JOIN (
        SELECT key, content, algorithm, min(made_at) AS first_at
        FROM counted
        WHERE anew
        GROUP BY key, content, algorithm
    ) AS f USING (key, content, algorithm)
    LEFT JOIN (
        SELECT
            key, content, algorithm,
            unnest(arg_max(
                struct_pack(expected, expected_from), (strength(expected_from, expected_algorithm), made_at)
            ))
        FROM checks
        WHERE expected_algorithm = algorithm AND expected_from <> 'first_seen'
        GROUP BY key, content, algorithm
    ) AS r USING (key, content, algorithm)
    LEFT JOIN before AS b
        ON b.key = c.key AND b.content = c.content AND b.baseline_algorithm = c.algorithm
        AND (b.baseline_from <> 'first_seen' OR trusted(b.baseline_at, $horizon) <= f.first_at)
    WHERE c.anew
    WINDOW in_order AS (PARTITION BY c.key, c.content, c.algorithm ORDER BY c.made_at, c.run_id)
),

-- What each check means for its object: right or wrong, and a checksum to expect from now on.
judged AS (
    SELECT
        *,
        CASE verdict WHEN 'registered' THEN 0 ELSE strength(expected_from, expected_algorithm) END AS strength,
        -- A record by a CRC proves no checksum that is stronger than itself: it stays what is expected beside it.
        verdict = 'matched' AND strength BETWEEN 1 AND 9 AND strength(expected_from, algorithm) >= 10 AS is_weak,
        CASE verdict
            WHEN 'differs' THEN expected_algorithm
            ELSE algorithm
        END AS base_algorithm,
        CASE
            WHEN anew AND verdict <> 'registered' THEN NULL
            WHEN verdict = 'differs' THEN expected
            WHEN verdict <> 'not_compared' THEN checksum
        END AS base,
        CASE WHEN verdict = 'registered' OR is_weak THEN 'first_seen' ELSE expected_from END AS base_from,
        CASE WHEN is_weak THEN 0 ELSE strength END AS base_strength,
        is_weak OR base_algorithm <> $algorithm AS is_other,
        CASE WHEN is_weak THEN expected WHEN base_algorithm <> $algorithm THEN base END AS other_base,
        CASE WHEN is_weak THEN expected_algorithm ELSE base_algorithm END AS other_algorithm,
        CASE WHEN is_weak THEN expected_from ELSE base_from END AS other_from,
        verdict IN ('matched', 'registered') AS is_right
    FROM (
        FROM counted
        WHERE NOT anew
        UNION ALL BY NAME
        SELECT
            * EXCLUDE (is_first, verdict, expected_algorithm),
            algorithm AS expected_algorithm,
            CASE WHEN is_first THEN 'registered' WHEN checksum = expected THEN 'matched' ELSE 'differs' END AS verdict
        FROM compared_anew
    )
),

changed AS (
    SELECT
        key,
        content,
        arg_max(
            struct_pack(
                version_id, size, etag, last_modified, storage_class, algorithm, checksum_type, checksum, status,
                error_code, error_message, bytes_read, evidence, checked_at, run_id, is_latest,
                expected := as_kept.expected, expected_algorithm := as_kept.expected_algorithm,
                expected_from := as_kept.expected_from, verdict := as_kept.verdict, reads, other_checksums
            ),
            (NOT only_verdict, made_at, run_id)
        ) AS newest,
        max(made_at) AS made_at,
        -- The baseline: the newest of the strongest source. It was registered when it first had this value.
        -- Of first checksums, the first.
        arg_max(
            struct_pack(base, base_from, at := checked_at, run_id),
            (base_strength, CASE WHEN base_strength = 0 THEN -1 ELSE 1 END * epoch_us(made_at))
        ) FILTER (WHERE base IS NOT NULL AND base_algorithm = $algorithm) AS own,
        arg_min(struct_pack(at := checked_at, run_id), (-base_strength, made_at))
            FILTER (WHERE base IS NOT NULL AND base_algorithm = $algorithm) AS own_first,
        min(base) FILTER (WHERE base_algorithm = $algorithm)
            = max(base) FILTER (WHERE base_algorithm = $algorithm) AS own_is_one,
        arg_max(struct_pack(base := other_base, algorithm := other_algorithm, base_from := other_from), (strength, made_at))
            FILTER (WHERE is_other AND other_base IS NOT NULL) AS other,
        max(strength) FILTER (WHERE verdict = 'matched' AND algorithm = $algorithm AND NOT is_weak) AS proved_by,
        max(made_at) FILTER (WHERE read) AS read_at,
        arg_max(checked_at, made_at) FILTER (WHERE read) AS verified_at,
        max(made_at) FILTER (WHERE is_right) AS right_at,
        arg_max(checked_at, made_at) FILTER (WHERE is_right) AS good_at,
        list(made_at) FILTER (WHERE without_result) AS without_result
    FROM judged
    WHERE NOT alone
    GROUP BY key, content
    UNION ALL BY NAME
    -- The same for objects with only one check, which is the most common case.
    SELECT
        key,
        content,
        struct_pack(
            version_id, size, etag, last_modified, storage_class, algorithm, checksum_type, checksum, status,
            error_code, error_message, bytes_read, evidence, checked_at, run_id, is_latest,
            expected := as_kept.expected, expected_algorithm := as_kept.expected_algorithm,
                expected_from := as_kept.expected_from, verdict := as_kept.verdict, reads, other_checksums
        ) AS newest,
        made_at,
        CASE WHEN base IS NOT NULL AND base_algorithm = $algorithm
            THEN struct_pack(base, base_from, at := checked_at, run_id) END AS own,
        CASE WHEN is_other AND other_base IS NOT NULL
            THEN struct_pack(base := other_base, algorithm := other_algorithm, base_from := other_from) END AS other,
        CASE WHEN verdict = 'matched' AND algorithm = $algorithm AND NOT is_weak THEN strength END AS proved_by,
        CASE WHEN read THEN made_at END AS read_at,
        CASE WHEN read THEN checked_at END AS verified_at,
        CASE WHEN is_right THEN made_at END AS right_at,
        CASE WHEN is_right THEN checked_at END AS good_at,
        CASE WHEN without_result THEN [made_at] END AS without_result
    FROM judged
    WHERE alone
)
