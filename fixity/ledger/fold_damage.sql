-- The second part of the statement in fold.sql: which objects are damaged.
-- In: `before`, `judged` and `changed`. Out: `damaged` and `last_right`, both with a row for each damaged object.
--
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
)
