-- All that is known of some keys of one bucket, one row a moment. In: the table `keys`; the views `checks` (the ledger),
-- `ingested` (what ingest found in earlier versions), `records` (the tables of records) and `now` (the snapshot); the tables `looks` (when the bucket was listed for each
-- table of records), `events` (those of its incidents) and `lost` (what vanished). Out: moments, in order; without a
-- time first.
WITH of_incidents AS (
    SELECT *
    FROM events
    SEMI JOIN keys USING (key)
),

moments AS (
    -- The store says when it was written.
    SELECT
        last_modified AS at_time,
        'written' AS what,
        key,
        version_id,
        concat_ws(', ', size || ' bytes', 'ETag ' || etag, storage_class) AS detail
    FROM (
        SELECT DISTINCT ON (key, version_id, etag, last_modified, size) *
        FROM (
            SELECT key, version_id, etag, last_modified, size, storage_class FROM checks
            UNION ALL
            SELECT key, version_id, etag, last_modified, size, storage_class FROM now
        )
        SEMI JOIN keys USING (key)
    )

    UNION ALL BY NAME
    SELECT listed_since AS at_time, 'listed' AS what, key, version_id, 'for the first time' AS detail
    FROM now
    SEMI JOIN keys USING (key)
    WHERE listed_since IS NOT NULL

    UNION ALL BY NAME
    SELECT
        coalesce(r.recorded_at, min(l.listed_at)) AS at_time,
        'record' AS what,
        key,
        version_id,
        CASE WHEN problem IS NULL THEN recorded_as ELSE 'unusable' END AS outcome,
        algorithm || ':' || checksum AS expected,
        recorded_as AS expected_from,
        concat_ws('; ', 'in ' || recorded_in, problem, note) AS detail
    FROM records AS r
    SEMI JOIN keys USING (key)
    JOIN looks AS l ON l.filename = r.filename
    GROUP BY key, version_id, recorded_as, recorded_in, recorded_at, algorithm, checksum, problem, note

    UNION ALL BY NAME
    SELECT
        checked_at AS at_time,
        'check' AS what,
        key,
        version_id,
        CASE WHEN status = 'succeeded' THEN coalesce(verdict, status) ELSE status END AS outcome,
        algorithm || ':' || checksum AS found,
        coalesce(expected_algorithm, algorithm) || ':' || expected AS expected,
        expected_from,
        concat_ws(
            '; ', error_code, error_message, evidence, CASE WHEN reads > 1 THEN 'read ' || reads || ' times' END
        ) AS detail,
        run_id
    FROM checks
    SEMI JOIN keys USING (key)

    UNION ALL BY NAME
    SELECT
        checked_at AS at_time,
        'check' AS what,
        key,
        version_id,
        CASE result WHEN 'MATCHED' THEN 'matched' WHEN 'NOTMATCHED' THEN 'differs' ELSE status END AS outcome,
        algorithm || ':' || checksum AS found,
        algorithm || ':' || expected AS expected,
        compared_with AS expected_from,
        concat_ws('; ', error_code, detail, 'ingest') AS detail,
        run_id
    FROM ingested
    SEMI JOIN keys USING (key)

    UNION ALL BY NAME
    SELECT
        e.happened_at AS at_time,
        e.event AS what,
        k.key,
        k.version_id,
        e.diagnosis AS outcome,
        e.found,
        e.expected,
        concat_ws('; ', e.detail, e.reason) AS detail,
        e.run_id,
        e.person,
        e.incident_id
    FROM events AS e
    -- An event without a key is about all objects of its incident.
    JOIN (SELECT DISTINCT incident_id, key, version_id FROM of_incidents) AS k
        ON k.incident_id = e.incident_id
        AND (e.key IS NULL OR (e.key = k.key AND e.version_id IS NOT DISTINCT FROM k.version_id))

    UNION ALL BY NAME
    SELECT
        gone_at AS at_time,
        'gone' AS what,
        key,
        version_id,
        'last seen ' || coalesce(strftime(last_seen AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S UTC'), 'never') AS detail
    FROM lost
    SEMI JOIN keys USING (key)
)

SELECT
    at_time AS at, what, key, version_id, outcome, found, expected, expected_from, detail, run_id, person, incident_id
FROM moments
ORDER BY
    key,
    at_time NULLS FIRST,
    list_position(
        [
            'written', 'listed', 'record', 'check', 'gone', 'opened', 'confirmed', 'diagnosed', 'repair_asked',
            'repaired', 'verified', 'closed', 'dismissed'
        ],
        what
    ),
    version_id NULLS FIRST,
    incident_id,
    run_id
