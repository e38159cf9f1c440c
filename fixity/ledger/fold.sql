-- Folds new checks into the rows of the snapshot before: one row for each object version of one range of keys.
-- In: the views `listing` (an inventory), `prior` (the snapshot before) and `news` (checks that are not in it, those
-- of ingest tables of earlier versions among them, with `only_verdict`). Out: rows of the snapshot, by key and version.
--
-- An object version is identified by content(…): its version, or where there is none, ETag, time and size.
-- Times of one object, in addition to the columns:
--   made_at    when a check was made; one in the future (after $horizon) is treated as 1970
--   read_at    the last check that read the bytes      right_at   the last that found them right
--   damaged_at the first that found them wrong, and that no later check of the same or greater strength took back
WITH checks AS (
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
),

-- Which check counts is decided only for objects that were ever found wrong. An ETag that differs is weaker here
-- than anything that agrees with the bytes, as where checks are judged.
wrong AS (
    SELECT
        key, content, made_at, checked_at,
        CASE WHEN expected_from = 'object-etag' AND expected_algorithm = 'MD5' THEN 1 ELSE strength END AS strength,
        coalesce(CASE WHEN expected_algorithm = algorithm THEN checksum END, other_checksums[expected_algorithm])
            AS found,
        expected_algorithm AS found_algorithm,
        expected AS found_against,
        expected_from AS found_from
    FROM judged
    WHERE verdict = 'differs'
    UNION ALL BY NAME
    -- Of several wrong checks the snapshot keeps the first time, the last time and the strongest source. A right
    -- check ends the damage if it is later than the last and as strong.
    SELECT
        key, content, trusted(seen_at, $horizon) AS made_at, seen_at AS checked_at,
        CASE WHEN found_from = 'object-etag' AND found_algorithm = 'MD5' THEN 1
            ELSE strength(found_from, found_algorithm) END AS strength,
        found, found_algorithm, found_against, found_from
    FROM (SELECT *, unnest([damaged_at, found_at]) AS seen_at FROM before WHERE damaged_at IS NOT NULL)
    UNION ALL BY NAME
    -- Bytes that were right by the old baseline are wrong if a record replaces it.
    SELECT
        key, content, b.right_at AS made_at, b.good_at AS checked_at,
        strength(c.own.base_from, $algorithm) AS strength,
        b.baseline AS found,
        $algorithm AS found_algorithm,
        c.own.base AS found_against,
        c.own.base_from AS found_from
    FROM before AS b
    JOIN changed AS c USING (key, content)
    WHERE b.baseline_algorithm = $algorithm AND b.right_at IS NOT NULL AND b.baseline <> c.own.base
        AND (
            strength(c.own.base_from, $algorithm) > strength(b.baseline_from, $algorithm)
            OR c.own.base_from = 'first_seen' AND b.baseline_from = 'first_seen' AND c.own.at < b.baseline_at
        )
),

taken_back AS (
    SELECT
        j.key, j.content, j.made_at, j.checked_at,
        CASE WHEN j.verdict = 'matched' THEN greatest(j.strength, 1) ELSE j.strength END AS strength
    FROM judged AS j
    SEMI JOIN wrong USING (key, content)
    WHERE j.is_right
    UNION ALL
    SELECT b.key, b.content, b.right_at, b.good_at, strength(b.baseline_from, b.baseline_algorithm)
    FROM before AS b
    SEMI JOIN wrong USING (key, content)
    WHERE b.right_at IS NOT NULL
),

damaged AS (
    SELECT
        w.key,
        w.content,
        arg_min(w.checked_at, w.made_at) AS damaged_at,
        arg_max(
            struct_pack(found, found_algorithm, found_against, found_from, strength), (w.strength, w.made_at)
        ) AS by,
        arg_max(w.checked_at, w.made_at) AS found_at
    FROM wrong AS w
    WHERE NOT EXISTS (
        FROM taken_back AS t
        WHERE t.key = w.key AND t.content = w.content AND t.made_at > w.made_at AND t.strength >= w.strength
    )
    GROUP BY w.key, w.content
),

-- Compared with this checksum, the bytes may never have been right.
last_right AS (
    SELECT d.key, d.content, arg_max(t.checked_at, t.made_at) AS good_at
    FROM damaged AS d
    JOIN taken_back AS t ON t.key = d.key AND t.content = d.content AND t.strength >= d.by.strength
    GROUP BY d.key, d.content
),

folded AS (
    SELECT
        key,
        content,
        CASE
            WHEN c.newest IS NOT NULL AND (b.made_at IS NULL OR c.made_at >= b.made_at) THEN c.newest
            ELSE struct_pack(
                version_id := b.version_id, size := b.size, etag := b.etag, last_modified := b.last_modified,
                storage_class := b.storage_class, algorithm := b.algorithm, checksum_type := b.checksum_type,
                checksum := b.checksum, status := b.status, error_code := b.error_code,
                error_message := b.error_message, bytes_read := b.bytes_read, evidence := b.evidence,
                checked_at := b.checked_at, run_id := b.run_id, is_latest := b.is_latest,
                expected := b.expected, expected_algorithm := b.expected_algorithm,
                expected_from := b.expected_from, verdict := b.verdict, reads := b.reads,
                other_checksums := b.other_checksums
            )
        END AS newest,
        greatest(b.made_at, c.made_at) AS made_at,
        b.listed_since,
        b.last_listed_at,
        CASE
            WHEN c.own IS NULL OR strength(c.own.base_from, $algorithm) < b.own_strength
                OR (c.own.base = b.own_base AND c.own.base_from = b.baseline_from)
                OR (c.own.base_from = 'first_seen' AND b.own_strength = 0 AND c.own.at >= b.baseline_at)
                THEN struct_pack(
                    base := b.own_base, base_from := b.baseline_from, at := b.baseline_at, run_id := b.baseline_run
                )
            WHEN c.own_is_one THEN struct_pack(
                base := c.own.base, base_from := c.own.base_from, at := c.own_first.at,
                run_id := c.own_first.run_id
            )
            ELSE c.own
        END AS own,
        CASE
            WHEN b.other.base IS NULL
                OR strength(c.other.base_from, c.other.algorithm) >= strength(b.other.base_from, b.other.algorithm)
                THEN c.other
            ELSE b.other
        END AS other,
        c.proved_by,
        greatest(b.read_at, c.read_at) AS read_at,
        CASE WHEN b.read_at IS NULL OR c.read_at >= b.read_at THEN c.verified_at ELSE b.verified_at END AS verified_at,
        CASE WHEN b.right_at IS NULL OR c.right_at >= b.right_at THEN c.good_at ELSE b.good_at END AS good_at,
        (
            CASE WHEN c.read_at IS NULL OR c.read_at <= b.read_at THEN coalesce(b.failures, 0) ELSE 0 END
            + coalesce(
                len(list_filter(
                    c.without_result, lambda each: coalesce(each > greatest(b.read_at, c.read_at), true)
                )),
                0
            )
        )::INTEGER AS failures
    FROM (
        SELECT
            *,
            CASE WHEN baseline_algorithm = $algorithm THEN baseline END AS own_base,
            CASE WHEN baseline_algorithm = $algorithm THEN strength(baseline_from, baseline_algorithm) END
                AS own_strength,
            -- The baseline of the bucket's former algorithm proves the new checksum.
            CASE
                WHEN baseline_algorithm <> $algorithm
                    THEN struct_pack(base := baseline, algorithm := baseline_algorithm, base_from := baseline_from)
                ELSE struct_pack(base := record, algorithm := record_algorithm, base_from := record_from)
            END AS other
        FROM before
    ) AS b
    FULL JOIN changed AS c USING (key, content)
),

listed AS (
    SELECT *, content(version_id, etag, last_modified, size) AS content
    FROM listing
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper)
)

SELECT
    key,
    CASE WHEN i.key IS NULL THEN f.newest.version_id ELSE i.version_id END AS version_id,
    CASE WHEN i.key IS NULL THEN f.newest.size ELSE i.size END AS size,
    CASE WHEN i.key IS NULL THEN f.newest.etag ELSE i.etag END AS etag,
    CASE WHEN i.key IS NULL THEN f.newest.last_modified ELSE i.last_modified END AS last_modified,
    CASE WHEN i.key IS NULL THEN f.newest.storage_class ELSE i.storage_class END AS storage_class,
    f.newest.algorithm AS algorithm,
    f.newest.checksum_type AS checksum_type,
    f.newest.checksum AS checksum,
    f.newest.status AS status,
    f.newest.error_code AS error_code,
    f.newest.error_message AS error_message,
    f.newest.bytes_read AS bytes_read,
    f.newest.evidence AS evidence,
    f.newest.checked_at AS checked_at,
    f.newest.run_id AS run_id,
    CASE WHEN i.key IS NULL THEN f.newest.is_latest ELSE i.is_latest END AS is_latest,
    f.newest.expected AS expected,
    f.newest.expected_algorithm AS expected_algorithm,
    f.newest.expected_from AS expected_from,
    f.newest.verdict AS verdict,
    f.newest.reads AS reads,
    f.newest.other_checksums AS other_checksums,
    i.key IS NOT NULL AS listed,
    CASE WHEN i.key IS NULL THEN f.listed_since ELSE coalesce(f.listed_since, $listed_at) END AS listed_since,
    CASE WHEN i.key IS NULL THEN f.last_listed_at ELSE $listed_at END AS last_listed_at,
    CASE WHEN i.storage_class IN ('GLACIER', 'DEEP_ARCHIVE') THEN 'archived' END AS left_out,
    f.own.base AS baseline,
    CASE WHEN f.own.base IS NOT NULL THEN $algorithm END AS baseline_algorithm,
    f.own.base_from AS baseline_from,
    f.own.at AS baseline_at,
    f.own.run_id AS baseline_run,
    -- A record that has proved the baseline of the bucket's own algorithm is not computed again.
    CASE WHEN NOT proved THEN f.other.base END AS record,
    CASE WHEN NOT proved THEN f.other.algorithm END AS record_algorithm,
    CASE WHEN NOT proved THEN f.other.base_from END AS record_from,
    f.verified_at,
    CASE WHEN d.key IS NULL THEN f.good_at ELSE g.good_at END AS good_at,
    d.damaged_at,
    d.found_at,
    d.by.found AS found,
    d.by.found_algorithm AS found_algorithm,
    d.by.found_against AS found_against,
    d.by.found_from AS found_from,
    coalesce(f.failures, 0)::INTEGER AS failures,
    CASE
        -- A check without a result is repeated after a wait that grows from an hour to a day.
        WHEN f.failures > 0
            THEN f.made_at + to_microseconds(
                least(3600000000 * (1::BIGINT << least(f.failures - 1, 5)), 86400000000, $every)::BIGINT
            )
        WHEN f.read_at IS NOT NULL THEN f.read_at + to_microseconds($every::BIGINT)
    END AS due_at
FROM listed AS i
FULL JOIN (
    SELECT
        *, coalesce(proved_by >= strength(other.base_from, other.algorithm), other.base IS NULL) AS proved
    FROM folded
) AS f USING (key, content)
LEFT JOIN damaged AS d USING (key, content)
LEFT JOIN last_right AS g USING (key, content)
ORDER BY key, version_id NULLS FIRST
