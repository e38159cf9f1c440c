-- Compares each check of a run with all records of its object. An object that the bucket does not have, but that a
-- record names or the run should have checked, is a row of its own.
-- In: the views `checks` (the run's file of the ledger), `records` (the run's records, BASELINES) and `tags` (the
-- results of writing tags), `$missing_at` and `$run_id`. Out: the columns of INGEST, and the bucket's own checksum.
--
-- The verdict of a check is that of the record that decided. `agrees` tells of each usable record if it agrees with
-- the bytes; NULL if no checksum by its algorithm was computed. A record is a conflict if this contradicts the
-- verdict. If neither agrees with the bytes, or it is unknown, it is a conflict if it differs from the first record
-- by its algorithm. If the bytes match one manifest and not another, the object does not match, and that is a conflict.
WITH usable AS (
    SELECT
        r.*,
        row_number() OVER in_order AS place,
        first_value(r.checksum) OVER (
            PARTITION BY r.key, r.version_id, r.algorithm
            ORDER BY r.rank, r.recorded_at DESC NULLS LAST, r.recorded_in, r.checksum
        ) AS first_checksum
    FROM records AS r
    WHERE r.problem IS NULL
    WINDOW in_order AS (
        PARTITION BY r.key, r.version_id
        ORDER BY r.rank, r.recorded_at DESC NULLS LAST, r.recorded_in, r.algorithm, r.checksum
    )
),

unusable AS (
    SELECT
        key,
        version_id,
        count(*) AS records,
        count(DISTINCT recorded_in) FILTER (is_lost OR usable_until IS NOT NULL) AS lost,
        string_agg(recorded_in || ': ' || problem, '; ' ORDER BY rank, recorded_in, problem) AS detail
    FROM records
    WHERE problem IS NOT NULL AND recorded_as IS NOT NULL
    GROUP BY key, version_id
),

compared_records AS (
    SELECT
        u.*,
        c.verdict,
        u.checksum = CASE
            WHEN c.checksum IS NULL THEN NULL
            WHEN u.algorithm = c.algorithm THEN c.checksum
            ELSE c.other_checksums[u.algorithm]
        END AS agrees,
        u.algorithm = c.expected_algorithm AND u.checksum = c.expected AND u.recorded_as = c.expected_from AS decided
    FROM usable AS u
    LEFT JOIN checks AS c
        ON c.key = u.key AND c.version_id IS NOT DISTINCT FROM u.version_id
),

-- A manifest that the bytes refute, though they match another of the same strength: nobody knows which one is right.
with_checks AS (
    SELECT
        *,
        coalesce(
            NOT agrees AND verdict = 'matched' AND recorded_as = 'manifest'
            AND rank // 100 = min(rank // 100) FILTER (decided) OVER (PARTITION BY key, version_id),
            false
        ) AS disputes
    FROM compared_records
),

of_records AS (
    SELECT
        key,
        version_id,
        -- If no record decided, the first one would have been compared with the object.
        arg_min(
            struct_pack(algorithm, checksum, recorded_in), (NOT disputes, NOT coalesce(decided, false), place)
        ) AS first,
        bool_or(coalesce(decided, false)) AS decided,
        bool_or(disputes) AS disputed,
        count(*) FILTER (is_conflict) AS conflicts,
        string_agg(recorded_in || ' says ' || checksum, '; ' ORDER BY place) FILTER (is_conflict) AS conflicting
    FROM (
        SELECT
            *,
            CASE
                WHEN disputes THEN false
                WHEN agrees THEN verdict = 'differs' OR bool_or(disputes) OVER (PARTITION BY key, version_id)
                WHEN NOT agrees AND verdict = 'matched' THEN true
                ELSE checksum <> first_checksum
            END AS is_conflict
        FROM with_checks
    )
    GROUP BY key, version_id
),

notes AS (
    SELECT key, version_id, string_agg(DISTINCT note, '; ' ORDER BY note) AS note
    FROM records
    WHERE note IS NOT NULL
    GROUP BY key, version_id
),

missing AS (
    SELECT
        key,
        version_id,
        bool_or(recorded_as IS NOT NULL) AS recorded,
        bool_and(recorded_as = 'api' AND key = recorded_in) AS is_unknown
    FROM records
    WHERE NOT listed
    GROUP BY key, version_id
),

-- A first checksum, or what a pair's other copy confirmed, is no record: bytes that agree with it are no match here, but bytes that differ are reported.
compared AS (
    SELECT
        *,
        coalesce(verdict = 'differs' OR (verdict = 'matched' AND expected_from NOT IN ('first_seen', 'other-copy')), false)
            AS is_compared
    FROM checks
),

rows_of_checks AS (
    SELECT
        c.* EXCLUDE (algorithm, checksum, expected, expected_algorithm, run_id),
        r.* EXCLUDE (key, version_id),
        CASE
            WHEN c.is_compared AND r.disputed IS NOT true THEN c.expected_algorithm
            ELSE coalesce(r.first.algorithm, c.algorithm)
        END AS algorithm,
        CASE WHEN c.is_compared AND r.disputed IS NOT true THEN c.expected ELSE r.first.checksum END AS expected,
        c.algorithm AS own_algorithm,
        c.checksum AS own_checksum
    FROM compared AS c
    LEFT JOIN of_records AS r ON r.key = c.key AND r.version_id IS NOT DISTINCT FROM c.version_id
)

SELECT
    c.key,
    c.version_id,
    c.size,
    c.etag,
    c.last_modified,
    c.storage_class,
    CASE
        WHEN NOT c.is_compared THEN 'SKIPPED'
        WHEN c.verdict = 'matched' AND c.disputed IS NOT true THEN 'MATCHED'
        ELSE 'NOTMATCHED'
    END AS result,
    CASE WHEN c.is_compared THEN c.expected_from ELSE 'none' END AS compared_with,
    c.algorithm,
    CASE
        WHEN c.own_checksum IS NULL OR c.algorithm = c.own_algorithm THEN c.own_checksum
        ELSE c.other_checksums[c.algorithm]
    END AS checksum,
    c.expected,
    CASE WHEN c.is_compared AND NOT coalesce(c.decided, false) THEN 'an earlier check' ELSE c.first.recorded_in END
        AS recorded_in,
    coalesce(c.conflicts, 0) AS conflicts,
    coalesce(u.records, 0) AS unusable_records,
    c.status,
    c.error_code,
    nullif(
        concat_ws(
            '; ',
            c.error_message,
            CASE
                WHEN c.verdict = 'differs' AND c.expected_from = 'object-etag' AND c.algorithm = 'MD5'
                    THEN 'the ETag is not the MD5 of the bytes; if the store''s ETags are not MD5s, '
                        || 'set `etag_is_md5: false`'
            END,
            c.conflicting,
            u.detail,
            n.note
        ),
        ''
    ) AS detail,
    t.tags_written,
    c.checked_at,
    $run_id AS run_id,
    c.own_algorithm,
    CASE WHEN c.checksum_type = 'FULL_OBJECT' THEN c.own_checksum END AS own_checksum,
    -- What was overwritten or deleted meanwhile is another object.
    CASE WHEN c.error_code IN ('ChangedSinceListed', 'DeletedSinceListed') THEN 0 ELSE coalesce(u.lost, 0) END
        AS lost_records
FROM rows_of_checks AS c
LEFT JOIN unusable AS u ON u.key = c.key AND u.version_id IS NOT DISTINCT FROM c.version_id
LEFT JOIN tags AS t ON t.key = c.key AND t.version_id IS NOT DISTINCT FROM c.version_id
LEFT JOIN notes AS n ON n.key = c.key AND n.version_id IS NOT DISTINCT FROM c.version_id
UNION ALL
SELECT
    m.key,
    m.version_id,
    NULL,
    NULL,
    NULL,
    NULL,
    'SKIPPED',
    'none',
    r.first.algorithm,
    NULL,
    r.first.checksum,
    coalesce(r.first.recorded_in, u.detail),
    coalesce(r.conflicts, 0),
    coalesce(u.records, 0),
    'missing',
    CASE
        WHEN m.is_unknown THEN 'RecordUnreadable'
        WHEN n.note IS NOT NULL THEN 'NotFetched'
        ELSE 'Missing'
    END,
    concat_ws(
        '; ',
        CASE
            WHEN m.is_unknown THEN 'a record cannot be read, so its object is not known, nor whether it is there'
            WHEN m.recorded THEN 'it is recorded, but the bucket does not have it'
            ELSE 'it was to be read, but the bucket does not have it'
        END,
        n.note,
        r.conflicting,
        u.detail
    ),
    NULL,
    $missing_at,
    $run_id,
    NULL,
    NULL,
    coalesce(u.lost, 0)
FROM missing AS m
LEFT JOIN of_records AS r ON r.key = m.key AND r.version_id IS NOT DISTINCT FROM m.version_id
LEFT JOIN unusable AS u ON u.key = m.key AND u.version_id IS NOT DISTINCT FROM m.version_id
LEFT JOIN notes AS n ON n.key = m.key AND n.version_id IS NOT DISTINCT FROM m.version_id
ORDER BY ALL
