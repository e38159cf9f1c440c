-- The records of the objects of an inventory, each with its object's version. A record without a version is one of
-- the current version. If the inventory is the whole bucket, records of other objects are kept, as not listed: these
-- objects are missing. The same holds for objects that a run should check ($gone_keys, $gone_versions) and that the
-- bucket does not have; without a record, such an object is a row without `recorded_as`. A record whose object cannot
-- be known has the key of the place where it is recorded; it is always kept.
-- In: `$records`, `$objects`, the table `spellings`, the view `before` (the records of the last look at the bucket,
-- at `$looked_at`), `$asked` (the kinds of objects' own records that were looked for and can be lost), the macro
-- `power` (how strong a record is, the strongest has the least). Out: the columns of BASELINES.
WITH objects AS (  -- each by its version, and the current one also by none: so that the join is by equality
    SELECT key, version_id, last_modified, NULL AS meant
    FROM read_parquet($objects)
    WHERE is_latest
    UNION ALL
    SELECT key, version_id, last_modified, version_id AS meant
    FROM read_parquet($objects)
    WHERE version_id IS NOT NULL
),

spelled AS (
    SELECT r.*, coalesce(s.object_key, r.key) AS object_key, coalesce(s.by_form, false) AS by_form
    FROM read_parquet($records) AS r
    LEFT JOIN spellings AS s
        ON s.key = r.key
        AND s.source = source_of(r.recorded_as, r.recorded_in)
        AND s.meant IS NOT DISTINCT FROM r.version_id
),

rotten AS (  -- manifests of which something cannot be read; a run over a few objects has no row for them
    SELECT recorded_in, min(may_name) AS may_name, string_agg(problem, '; ') AS problem
    FROM read_parquet($records)
    WHERE may_name IS NOT NULL
    GROUP BY recorded_in
),

recorded AS (
    SELECT
        coalesce(o.key, m.key, r.object_key) AS key,
        coalesce(o.version_id, m.version_id, r.version_id) AS version_id,
        o.key IS NOT NULL OR m.key IS NOT NULL AS listed,
        r.algorithm,
        r.checksum,
        r.recorded_as,
        r.recorded_in,
        r.rank,
        r.recorded_at,
        CASE WHEN o.key IS NULL AND m.key IS NOT NULL THEN concat_ws(': ', r.object_key, r.problem) ELSE r.problem END
            AS problem,
        CASE
            WHEN o.key IS NULL THEN r.if_missing
            ELSE nullif(
                concat_ws(
                    '; ',
                    CASE WHEN r.by_form THEN r.recorded_in || ' writes its name in another Unicode form' END,
                    CASE WHEN NOT $everything THEN t.recorded_in || ': ' || t.problem END
                ),
                ''
            )
        END AS note,
        NULL::TIMESTAMPTZ AS usable_until,
        -- unless another record is usable
        r.problem IS NOT NULL AND r.algorithm IS NOT NULL AND r.recorded_as = 'manifest' AND o.key IS NOT NULL
            AS is_lost
    FROM spelled AS r
    LEFT JOIN rotten AS t ON t.recorded_in = r.recorded_in
    LEFT JOIN objects AS o ON o.key = r.object_key AND o.meant IS NOT DISTINCT FROM r.version_id
    -- A line without a checksum whose name no object has is perhaps no record: it is a problem of its manifest.
    LEFT JOIN objects AS m
        ON m.key = CASE WHEN r.problem IS NOT NULL AND o.key IS NULL THEN r.recorded_in END AND m.meant IS NULL
    WHERE
        o.key IS NOT NULL
        OR $everything
        OR (r.recorded_as = 'api' AND r.key = r.recorded_in)
        OR r.key IN (SELECT unnest($gone_keys::VARCHAR[]))
),

best AS (
    SELECT
        key,
        version_id,
        min(power(rank, algorithm)) AS power,
        bool_or(recorded_as IN ('manifest', 'api')) AS is_listed
    FROM recorded
    WHERE problem IS NULL
    GROUP BY key, version_id
),

-- Records that were usable: if none that is as strong is usable now, the object has lost its proof, and stays so until
-- there is one. A manifest is of the current version, whichever that is; tags and metadata are of one object, so that
-- they are not lost if it was replaced since.
lost AS (
    SELECT DISTINCT
        o.key,
        o.version_id,
        true AS listed,
        b.algorithm,
        NULL AS checksum,
        b.recorded_as,
        b.recorded_in,
        b.rank,
        NULL::TIMESTAMPTZ AS recorded_at,
        'usable on ' || strftime(coalesce(b.usable_until, $looked_at::TIMESTAMPTZ) AT TIME ZONE 'UTC', '%Y-%m-%d')
        || ' and no longer: restore it, or give the checksum by hand' AS problem,
        NULL AS note,
        coalesce(b.usable_until, $looked_at::TIMESTAMPTZ) AS usable_until,
        true AS is_lost
    FROM before AS b
    JOIN objects AS o
        ON o.key = b.key
        AND o.meant IS NOT DISTINCT FROM CASE WHEN list_contains($asked, b.recorded_as) THEN b.version_id END
    LEFT JOIN best AS n
        ON n.key = o.key AND n.version_id IS NOT DISTINCT FROM o.version_id
    WHERE
        CASE
            WHEN b.recorded_as = 'manifest' THEN true
            WHEN b.recorded_as = 'api' THEN o.version_id IS NOT DISTINCT FROM b.version_id
            WHEN list_contains($asked, b.recorded_as)
                THEN coalesce(o.version_id <> 'null', false)
                    OR o.last_modified < coalesce(b.usable_until, $looked_at::TIMESTAMPTZ)
        END
        AND (b.problem IS NULL OR b.usable_until IS NOT NULL)
        AND (n.power IS NULL OR n.power > power(b.rank, b.algorithm))
),

-- Payload of a bag that has no usable record apart from itself, though something of a manifest cannot be read: that may
-- be its record, since a manifest has to name all payload.
unnamed AS (
    SELECT
        o.key,
        o.version_id,
        true AS listed,
        NULL AS algorithm,
        NULL AS checksum,
        'manifest' AS recorded_as,
        t.recorded_in,
        0 AS rank,
        NULL::TIMESTAMPTZ AS recorded_at,
        'no line that can be read has its checksum (' || t.problem || ')' AS problem,
        NULL AS note,
        NULL::TIMESTAMPTZ AS usable_until,
        true AS is_lost
    FROM rotten AS t
    JOIN objects AS o ON o.key > t.may_name AND o.key < left(t.may_name, -1) || '0' AND o.meant IS NULL
    LEFT JOIN best AS n ON n.key = o.key AND n.version_id IS NOT DISTINCT FROM o.version_id
    ANTI JOIN lost AS l ON l.key = o.key
    WHERE n.is_listed IS NOT true
),

named AS (
    SELECT DISTINCT
        unnest($gone_keys::VARCHAR[]) AS key,
        unnest($gone_versions::VARCHAR[]) AS version_id
)

FROM recorded
WHERE recorded_at IS NULL AND NOT is_lost
UNION ALL
SELECT r.* REPLACE (n.is_listed IS NOT true AS is_lost)
FROM recorded AS r
LEFT JOIN best AS n ON n.key = r.key AND n.version_id IS NOT DISTINCT FROM r.version_id
WHERE r.is_lost
UNION ALL
FROM lost
UNION ALL
FROM unnamed
UNION ALL
-- Of records given by hand, the newest comes before others of the same strength, whatever their algorithms.
SELECT * REPLACE (
    rank + CASE
        WHEN recorded_at < max(recorded_at) OVER (PARTITION BY key, version_id, rank // 100) THEN 50
        ELSE 0
    END AS rank
)
FROM recorded
WHERE recorded_at IS NOT NULL
UNION ALL
SELECT
    n.key, n.version_id, false, NULL, NULL, NULL, 'selection', 0, NULL,
    'it was to be read, but the bucket does not have it', NULL, NULL, false
FROM named AS n
WHERE NOT EXISTS (
    FROM recorded AS r
    WHERE NOT r.listed AND r.key = n.key AND r.version_id IS NOT DISTINCT FROM n.version_id
)
ORDER BY
    key, version_id NULLS FIRST, rank, recorded_at DESC NULLS LAST, recorded_in, algorithm, checksum, problem
