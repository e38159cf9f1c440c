-- Folds checks into what stood before: for the keys of one range, a row an object version and algorithm.
-- The views `listing`, `prior`, `news` and `ingested` hold an inventory, the snapshot before, checks that are
-- not in it, and what ingest held against records since. content(…) tells what was written apart: the version, or where there is none, ETag, time and size.
-- A check from the future ($horizon) tells nothing of when it was made: it counts as made long ago. Its time
-- is kept as it is, since the clock that is wrong may be ours.
WITH ledger AS (
    SELECT
        *,
        content(version_id, etag, last_modified, size) AS content,
        trusted(checked_at, $horizon) AS made_at,
        -- What bears on the baseline: a checksum of all bytes, computed from them at the time of the check.
        (
            status = 'succeeded' AND checksum IS NOT NULL AND checksum_type = 'FULL_OBJECT'
            AND evidence IN ('streamed', 's3_batch', 'step_functions')
        ) AS counts,
        status <> 'succeeded' AS without_result
    FROM news
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper) AND checked_at IS NOT NULL
),

-- What ingest computed and held against a record is a check that brings its own baseline.
compared AS (
    SELECT
        key, version_id, size, etag, last_modified, storage_class, algorithm, checksum, checked_at, run_id,
        'FULL_OBJECT' AS checksum_type,
        'succeeded' AS status,
        size AS bytes_read,
        'streamed' AS evidence,
        content(version_id, etag, last_modified, size) AS content,
        trusted(checked_at, $horizon) AS made_at,
        true AS counts,
        false AS without_result,
        expected,
        compared_with AS expected_from
    FROM ingested
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper) AND checksum IS NOT NULL AND expected IS NOT NULL
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

-- Of objects that are checked by another algorithm than the record's, only what ingest found wrong.
found_wrong AS (
    SELECT key, content, algorithm
    FROM compared
    WHERE checksum <> expected
    UNION
    SELECT key, content, algorithm
    FROM before
    WHERE algorithm <> $algorithm AND baseline_from <> 'first_seen'
),

checks AS (
    FROM ledger
    UNION ALL BY NAME
    FROM compared AS c
    WHERE c.algorithm = $algorithm
        OR EXISTS (
            FROM found_wrong AS w
            WHERE w.key = c.key AND w.content = c.content AND w.algorithm = c.algorithm
        )
),

-- Bytes that are wrong by another algorithm's record are no baseline. The rows of a run have only the word
-- of the fold that they were chosen from.
suspects AS (
    SELECT DISTINCT key, content
    FROM (
        SELECT key, content, algorithm, checksum <> expected AS wrong, made_at
        FROM compared
        UNION ALL
        SELECT key, content, algorithm, damaged_at IS NOT NULL, read_at
        FROM before
        WHERE baseline_from <> 'first_seen'
    )
    WHERE algorithm <> $algorithm AND NOT $partial
    GROUP BY key, content, algorithm
    HAVING arg_max(wrong, made_at)
    UNION
    SELECT key, content
    FROM before
    WHERE suspect AND $partial
),

-- A baseline that stands is replaced by a record that says otherwise alone; else the first checksum becomes it.
-- Grouped and joined again: windows over the same would sort all checks three times.
read AS (
    SELECT
        key,
        content,
        algorithm,
        arg_max(expected, made_at) FILTER (WHERE expected IS NOT NULL) AS record,
        arg_min(checksum, made_at) FILTER (WHERE counts) AS first_seen,
        max(made_at) FILTER (WHERE counts) AS read_at
    FROM checks
    GROUP BY ALL
),

based AS (
    SELECT
        r.key,
        r.content,
        r.algorithm,
        greatest(r.read_at, b.read_at) AS read_at,
        coalesce(r.record, b.baseline, CASE WHEN s.key IS NULL THEN r.first_seen END) AS base,
        r.record IS NOT NULL AND r.record IS DISTINCT FROM b.baseline AS rebased
    FROM read AS r
    LEFT JOIN before AS b USING (key, content, algorithm)
    LEFT JOIN suspects AS s USING (key, content)
),

-- Where a record replaces the baseline, what was read before is held against it like any other check: it may
-- be of a later time than the record, whose table came late.
readings AS (
    FROM checks
    UNION ALL BY NAME
    SELECT
        key, b.version_id, b.size, b.etag, b.last_modified, b.storage_class, b.is_latest, algorithm, b.checksum_type,
        CASE
            WHEN b.damaged_at IS NOT NULL THEN b.found
            WHEN b.baseline IS NOT NULL THEN b.baseline
            WHEN b.checked_at = b.verified_at THEN b.checksum
        END AS checksum,
        b.status, b.error_code, b.error_message, b.bytes_read, b.evidence, b.verified_at AS checked_at, b.run_id,
        content,
        b.read_at AS made_at,
        true AS counts,
        false AS without_result
    FROM before AS b
    JOIN based AS d USING (key, content, algorithm)
    WHERE d.rebased AND b.verified_at IS NOT NULL
),

judged AS (
    SELECT c.*, d.base, d.rebased, d.read_at, r.right_at
    FROM readings AS c
    JOIN based AS d USING (key, content, algorithm)
    LEFT JOIN (
        SELECT key, content, algorithm, max(made_at) AS right_at
        FROM readings AS c
        JOIN based AS d USING (key, content, algorithm)
        WHERE c.counts AND c.checksum = d.base
        GROUP BY ALL
    ) AS r USING (key, content, algorithm)
),

changed AS (
    SELECT
        key,
        content,
        algorithm,
        arg_max(
            struct_pack(
                version_id, size, etag, last_modified, storage_class, is_latest, checksum_type, checksum,
                status, error_code, error_message, bytes_read, evidence, checked_at, run_id
            ),
            (made_at, run_id, expected IS NULL)
        ) AS newest,
        max(made_at) AS made_at,
        any_value(base) AS base,
        any_value(rebased) AS rebased,
        CASE
            WHEN any_value(rebased) THEN arg_min(
                struct_pack(checked_at, run_id, expected_from), made_at
            ) FILTER (WHERE expected = base)
            WHEN any_value(base) IS NOT NULL THEN arg_min(
                struct_pack(checked_at, run_id, expected_from := 'first_seen'), made_at
            ) FILTER (WHERE counts)
        END AS registered,
        max(made_at) FILTER (WHERE counts) AS read_at,
        arg_max(checked_at, made_at) FILTER (WHERE counts) AS verified_at,
        max(judged.right_at) AS right_at,
        arg_max(checked_at, made_at) FILTER (WHERE counts AND checksum = base) AS good_at,
        arg_min(checked_at, made_at) FILTER (
            WHERE counts AND checksum <> base AND (judged.right_at IS NULL OR made_at >= judged.right_at)
        ) AS damaged_at,
        arg_max(checksum, made_at) FILTER (WHERE counts AND checksum <> base) AS found,
        count(*) FILTER (WHERE without_result AND (judged.read_at IS NULL OR made_at > judged.read_at))::INTEGER AS failures
    FROM judged
    GROUP BY ALL
),

folded AS (
    SELECT
        key,
        content,
        algorithm,
        CASE
            WHEN c.key IS NOT NULL AND (b.made_at IS NULL OR c.made_at >= b.made_at) THEN c.newest
            ELSE struct_pack(
                version_id := b.version_id, size := b.size, etag := b.etag, last_modified := b.last_modified,
                storage_class := b.storage_class, is_latest := b.is_latest,
                checksum_type := b.checksum_type, checksum := b.checksum, status := b.status,
                error_code := b.error_code, error_message := b.error_message, bytes_read := b.bytes_read,
                evidence := b.evidence, checked_at := b.checked_at, run_id := b.run_id
            )
        END AS newest,
        greatest(b.made_at, c.made_at) AS made_at,
        b.listed_since,
        coalesce(c.base, b.baseline) AS baseline,
        CASE
            WHEN c.rebased OR b.baseline IS NULL THEN c.registered
            ELSE struct_pack(
                checked_at := b.baseline_at, run_id := b.baseline_run,
                expected_from := coalesce(b.baseline_from, 'first_seen')
            )
        END AS registered,
        greatest(b.read_at, c.read_at) AS read_at,
        CASE WHEN b.read_at IS NULL OR c.read_at >= b.read_at THEN c.verified_at ELSE b.verified_at END AS verified_at,
        CASE WHEN c.rebased OR b.right_at IS NULL OR c.right_at >= b.right_at THEN c.good_at ELSE b.good_at END AS good_at,
        -- What was right or wrong by a baseline that was replaced says nothing any more.
        CASE
            WHEN c.rebased THEN c.damaged_at
            WHEN c.read_at IS NULL OR c.read_at < b.read_at THEN b.damaged_at
            WHEN c.damaged_at IS NULL THEN NULL
            WHEN c.good_at IS NULL THEN coalesce(b.damaged_at, c.damaged_at)
            ELSE c.damaged_at
        END AS damaged_at,
        CASE
            WHEN NOT coalesce(c.rebased, false) AND (c.read_at IS NULL OR c.read_at < b.read_at) THEN b.found
            WHEN c.damaged_at IS NOT NULL THEN c.found
        END AS found,
        (
            CASE WHEN c.read_at IS NULL OR c.read_at <= b.read_at THEN coalesce(b.failures, 0) ELSE 0 END
            + coalesce(c.failures, 0)
        )::INTEGER AS failures
    FROM before AS b
    FULL JOIN changed AS c USING (key, content, algorithm)
),

listed AS (
    SELECT
        *,
        content(version_id, etag, last_modified, size) AS content,
        $algorithm AS algorithm
    FROM listing
    WHERE key >= $lower AND ($upper IS NULL OR key < $upper)
),

-- What another algorithm said of a listed object goes on to be true of it: damage stays damage.
told AS (
    FROM listed
    UNION ALL BY NAME
    SELECT l.* REPLACE (f.algorithm AS algorithm)
    FROM listed AS l
    JOIN (SELECT key, content, algorithm FROM folded WHERE algorithm <> $algorithm) AS f USING (key, content)
)

SELECT
    key,
    CASE WHEN i.key IS NULL THEN f.newest.version_id ELSE i.version_id END AS version_id,
    CASE WHEN i.key IS NULL THEN f.newest.size ELSE i.size END AS size,
    CASE WHEN i.key IS NULL THEN f.newest.etag ELSE i.etag END AS etag,
    CASE WHEN i.key IS NULL THEN f.newest.last_modified ELSE i.last_modified END AS last_modified,
    CASE WHEN i.key IS NULL THEN f.newest.storage_class ELSE i.storage_class END AS storage_class,
    algorithm,
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
    i.key IS NOT NULL AS listed,
    i.key IS NOT NULL AND algorithm = $algorithm AS wanted,
    CASE WHEN i.key IS NULL THEN f.listed_since ELSE coalesce(f.listed_since, $listed_at) END AS listed_since,
    CASE WHEN i.storage_class IN ('GLACIER', 'DEEP_ARCHIVE') THEN 'archived' END AS left_out,
    f.baseline,
    f.registered.expected_from AS baseline_from,
    f.registered.checked_at AS baseline_at,
    f.registered.run_id AS baseline_run,
    s.key IS NOT NULL AS suspect,
    f.verified_at,
    f.good_at,
    f.damaged_at,
    f.found,
    coalesce(f.failures, 0)::INTEGER AS failures,
    CASE
        -- Without a result it is tried again soon, after waits that grow from an hour to a day.
        WHEN f.failures > 0
            THEN f.made_at + to_microseconds(
                least(3600000000 * (1::BIGINT << least(f.failures - 1, 5)), 86400000000, $every)::BIGINT
            )
        WHEN f.read_at IS NOT NULL THEN f.read_at + to_microseconds($every::BIGINT)
    END AS due_at
FROM told AS i
FULL JOIN folded AS f USING (key, content, algorithm)
LEFT JOIN suspects AS s USING (key, content)
ORDER BY key, version_id NULLS FIRST, algorithm
