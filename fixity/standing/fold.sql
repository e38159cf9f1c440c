-- Folds checks into what stood before: for the keys of one range, a row an object version and algorithm.
-- The views `listing`, `prior` and `news` hold an inventory, the standing before, and checks that are not
-- in it. content(…) tells what was written apart: the version, or where there is none, ETag, time and size.
-- A check from the future ($horizon) tells nothing of when it was made: it counts as made long ago. Its time
-- is kept as it is, since the clock that is wrong may be ours.
WITH checks AS (
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

-- A baseline that stands is never replaced; else the first checksum becomes it.
based AS (
    SELECT
        c.*,
        coalesce(b.baseline, arg_min(c.checksum, c.made_at) FILTER (WHERE c.counts) OVER same) AS base,
        max(c.made_at) FILTER (WHERE c.counts) OVER same AS read_at
    FROM checks AS c
    LEFT JOIN before AS b USING (key, content, algorithm)
    WINDOW same AS (PARTITION BY c.key, c.content, c.algorithm)
),

judged AS (
    SELECT
        *,
        max(made_at) FILTER (WHERE counts AND checksum = base) OVER (PARTITION BY key, content, algorithm) AS right_at
    FROM based
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
            (made_at, run_id)
        ) AS newest,
        max(made_at) AS made_at,
        any_value(base) AS base,
        arg_min(struct_pack(checked_at, run_id), made_at) FILTER (WHERE counts) AS first_read,
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
        coalesce(b.baseline, c.base) AS baseline,
        coalesce(b.baseline_at, c.first_read.checked_at) AS baseline_at,
        coalesce(b.baseline_run, c.first_read.run_id) AS baseline_run,
        greatest(b.read_at, c.read_at) AS read_at,
        CASE WHEN b.read_at IS NULL OR c.read_at >= b.read_at THEN c.verified_at ELSE b.verified_at END AS verified_at,
        CASE WHEN b.right_at IS NULL OR c.right_at >= b.right_at THEN c.good_at ELSE b.good_at END AS good_at,
        CASE
            WHEN c.read_at IS NULL OR c.read_at < b.read_at THEN b.damaged_at
            WHEN c.damaged_at IS NULL THEN NULL
            WHEN c.good_at IS NULL THEN coalesce(b.damaged_at, c.damaged_at)
            ELSE c.damaged_at
        END AS damaged_at,
        CASE
            WHEN c.read_at IS NULL OR c.read_at < b.read_at THEN b.found
            WHEN c.damaged_at IS NOT NULL THEN c.found
        END AS found,
        (CASE WHEN c.verified_at IS NULL THEN coalesce(b.failures, 0) ELSE 0 END + coalesce(c.failures, 0))::INTEGER
            AS failures
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
    f.baseline_at,
    f.baseline_run,
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
ORDER BY key, version_id NULLS FIRST, algorithm
