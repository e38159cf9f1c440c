-- Recomputes the figures of this package from the raw tables in it. Run it in the folder data/, with DuckDB alone:
--
--     duckdb < queries.sql
--
-- The last statement compares each figure with figures/*.csv: `same` or `DIFFERENT`. All times are in UTC. You may ask
-- the views more, for example: FROM checks WHERE key = '...';
-- empty/ has a table without rows of each kind, so that what the lake has none of is empty here too.
CREATE OR REPLACE TEMP MACRO utc(moment) AS make_timestamp(epoch_us(moment));
CREATE OR REPLACE TEMP MACRO in_words(moment) AS strftime(moment, '%Y-%m-%dT%H:%M:%SZ');
-- What is written under a key: by its version, or where there is none, by ETag, time and size.
CREATE OR REPLACE TEMP MACRO content(version_id, etag, last_modified, size) AS
    CASE
        WHEN version_id IS NULL OR version_id = 'null' THEN concat_ws('|', etag, epoch_us(last_modified), size)
        ELSE version_id
    END;

CREATE OR REPLACE TEMP TABLE period AS
SELECT since::TIMESTAMP AS since, until::TIMESTAMP AS until
FROM read_csv('policy/period.csv', header = true, all_varchar = true, delim = ',');

-- term: how often each object is to be read, in seconds; NULL where the catalog names none.
CREATE OR REPLACE TEMP TABLE buckets AS
SELECT bucket, to_seconds(term::BIGINT) AS term
FROM read_csv('policy/buckets.csv', header = true, all_varchar = true, delim = ',');

-- What later times of a table count as that a wrong clock dated ahead. The table stays as it was written.
CREATE OR REPLACE TEMP TABLE redated AS
SELECT file, counts_as::TIMESTAMP AS counts_as
FROM read_csv('redated.csv', header = true, all_varchar = true, delim = ',');
CREATE OR REPLACE TEMP MACRO in_package(name) AS regexp_extract(name, '^(?:.*/)?(lake/[^/]+/[^/]+/[^/]+)$', 1);


-- The ledger: every check ever made, as far as the period rests on it.
SET VARIABLE checks = list_concat(['empty/checks.parquet'], (SELECT list(file ORDER BY file) FROM glob('lake/checksums/*/*.parquet')));
CREATE OR REPLACE TEMP VIEW checks AS
SELECT
    regexp_extract(name_of_file, '^.*lake/checksums/([^/]+)/[^/]+$', 1) AS bucket,
    key, version_id, size, etag, utc(last_modified) AS last_modified, storage_class, algorithm, checksum_type,
    checksum, status, error_code, error_message, bytes_read, evidence,
    least(utc(checked_at), counts_as) AS checked_at, run_id,
    is_latest, expected, expected_algorithm, expected_from, verdict, reads, other_checksums,
    content(version_id, etag, last_modified, size) AS content,
    status = 'succeeded' AND evidence IS DISTINCT FROM 'stored' AS is_read
FROM read_parquet(getvariable('checks'), union_by_name = true, filename = name_of_file)
LEFT JOIN redated ON file = in_package(name_of_file)
WHERE least(utc(checked_at), counts_as) < (SELECT until FROM period);


-- What the buckets held: the inventories from which coverage is counted.
SET VARIABLE inventories = list_concat(['empty/inventory.parquet'], (SELECT list(file ORDER BY file) FROM glob('lake/inventory/*/*.parquet')));
CREATE OR REPLACE TEMP VIEW inventories AS
SELECT
    name_of_file AS filename,
    key, version_id, is_latest, size, etag, last_modified, storage_class, checksum_algorithm,
    content(version_id, etag, last_modified, size) AS content
FROM read_parquet(getvariable('inventories'), union_by_name = true, filename = name_of_file);

CREATE OR REPLACE TEMP VIEW listings AS
SELECT
    file_name AS filename,
    regexp_extract(file_name, '^.*lake/inventory/([^/]+)/[^/]+$', 1) AS bucket,
    least(
        utc(max(CASE WHEN decode(key) = 'fixity' THEN (decode(value)::JSON ->> 'listed_at')::TIMESTAMPTZ END)),
        any_value(counts_as)
    ) AS listed_at,
    max(CASE WHEN decode(key) = 'fixity-excluded' THEN decode(value)::BIGINT END) AS excluded
FROM parquet_kv_metadata(getvariable('inventories'))
LEFT JOIN redated ON file = in_package(file_name)
WHERE file_name NOT LIKE '%empty/inventory.parquet'
GROUP BY file_name;


-- Coverage at the end of each month and of the period, by the newest inventory before it. Each object is in exactly one
-- of archived, unreadable (its newest check failed), read_within_term, read_longer_ago and never_read. `differs`: of
-- those that were read, how many had other bytes than expected at their last read. `excluded` are not among the objects:
-- the catalog leaves them out; empty where the inventory does not tell how many.
CREATE OR REPLACE TEMP VIEW points AS
SELECT bucket, at_time, arg_max(filename, listed_at) AS filename, max(listed_at) AS listed_at
FROM listings
JOIN (
    SELECT unnest(generate_series(date_trunc('month', since) + INTERVAL 1 MONTH, until, INTERVAL 1 MONTH)) AS at_time
    FROM period
    UNION
    SELECT until FROM period
) ON listed_at < at_time
GROUP BY bucket, at_time;

CREATE OR REPLACE TEMP VIEW coverage AS
WITH objects AS (
    SELECT
        p.bucket, p.at_time, i.key, i.content, i.size, i.storage_class,
        max(c.checked_at) FILTER (c.is_read) AS read_at,
        arg_max(c.verdict, c.checked_at) FILTER (c.is_read) AS verdict,
        arg_max(c.status, c.checked_at) FILTER (c.checked_at IS NOT NULL) AS last_status
    FROM inventories AS i
    JOIN points AS p ON p.filename = i.filename
    LEFT JOIN checks AS c
        ON c.bucket = p.bucket AND c.key = i.key AND c.content = i.content AND c.checked_at < p.at_time
    GROUP BY ALL
),

told AS (
    SELECT
        o.*,
        CASE
            WHEN storage_class IN ('GLACIER', 'DEEP_ARCHIVE') AND NOT within THEN 'archived'
            WHEN last_status = 'failed' THEN 'unreadable'
            WHEN within THEN 'within'
            WHEN read_at IS NOT NULL THEN 'longer'
            ELSE 'never'
        END AS kind
    FROM (
        SELECT o.*, coalesce(read_at > at_time - term, read_at IS NOT NULL AND term IS NULL) AS within
        FROM objects AS o
        JOIN buckets AS b ON b.bucket = o.bucket
    ) AS o
)

SELECT
    p.bucket,
    in_words(p.at_time) AS at_time,
    in_words(p.listed_at) AS listed_at,
    count(t.key) AS objects,
    coalesce(sum(t.size), 0)::BIGINT AS bytes,
    count(*) FILTER (kind = 'within') AS read_within_term,
    count(*) FILTER (kind = 'longer') AS read_longer_ago,
    count(*) FILTER (kind = 'never') AS never_read,
    count(*) FILTER (kind = 'unreadable') AS unreadable,
    count(*) FILTER (kind = 'archived') AS archived,
    count(*) FILTER (verdict = 'differs') AS differs,
    any_value(l.excluded) AS excluded
FROM points AS p
JOIN listings AS l ON l.filename = p.filename
LEFT JOIN told AS t ON t.bucket = p.bucket AND t.at_time = p.at_time
GROUP BY p.bucket, p.at_time, p.listed_at
ORDER BY p.bucket, p.at_time;


-- The checks of each month.
CREATE OR REPLACE TEMP VIEW checks_by_month AS
SELECT
    bucket,
    strftime(checked_at, '%Y-%m') AS month,
    count(*) AS checks,
    sum(bytes_read)::BIGINT AS bytes_read,
    count(*) FILTER (verdict = 'matched') AS matched,
    count(*) FILTER (verdict = 'registered') AS registered,
    count(*) FILTER (verdict = 'differs') AS differs,
    count(*) FILTER (status = 'succeeded' AND coalesce(verdict, 'not_compared') = 'not_compared') AS not_compared,
    count(*) FILTER (status = 'failed') AS failed,
    count(*) FILTER (status = 'skipped') AS skipped,
    count(*) FILTER (reads > 1) AS read_twice
FROM checks
WHERE checked_at >= (SELECT since FROM period)
GROUP BY ALL
ORDER BY ALL;


-- Each object whose bytes differed or could not be read in the period. exceptions/ has their whole lives.
CREATE OR REPLACE TEMP VIEW exceptions AS
SELECT
    bucket,
    key,
    version_id,
    count(*) FILTER (verdict = 'differs') AS differed,
    count(*) FILTER (status = 'failed') AS failed,
    in_words(min(checked_at)) AS first_at,
    in_words(max(checked_at)) AS last_at
FROM checks
WHERE (verdict = 'differs' OR status = 'failed') AND checked_at >= (SELECT since FROM period)
GROUP BY bucket, key, version_id
ORDER BY bucket, key, version_id NULLS FIRST;


-- The incidents that were not over before the period, and how each was closed: by a check after a repair (a run), or by
-- a person with a reason. An event without a key is about all objects of its incident.
SET VARIABLE incidents = list_concat(['empty/incidents.parquet'], (SELECT list(file ORDER BY file) FROM glob('lake/incidents/*/*.parquet')));
CREATE OR REPLACE TEMP VIEW incident_events AS
SELECT DISTINCT * REPLACE (utc(happened_at) AS happened_at)
FROM read_parquet(getvariable('incidents'), union_by_name = true)
WHERE utc(happened_at) < (SELECT until FROM period);

CREATE OR REPLACE TEMP VIEW incidents AS
WITH objects AS (
    SELECT
        incident_id,
        max(happened_at) FILTER (event = 'opened') AS opened_at,
        max(happened_at) FILTER (event IN ('closed', 'dismissed')) AS ended_at
    FROM incident_events
    WHERE key IS NOT NULL
    GROUP BY incident_id, key, version_id
),

open_objects AS (
    SELECT o.incident_id, count(*) AS still_open
    FROM objects AS o
    LEFT JOIN (
        SELECT incident_id, max(happened_at) AS ended_at
        FROM incident_events
        WHERE key IS NULL AND event IN ('closed', 'dismissed')
        GROUP BY incident_id
    ) AS whole USING (incident_id)
    WHERE coalesce(greatest(whole.ended_at, o.ended_at) < o.opened_at, true)
    GROUP BY o.incident_id
)

SELECT
    incident_id,
    in_words(min(happened_at)) AS opened_at,
    CASE WHEN any_value(still_open) IS NULL THEN arg_max(event, happened_at) FILTER (is_end) ELSE 'open' END AS state,
    in_words(CASE WHEN any_value(still_open) IS NULL THEN max(happened_at) FILTER (is_end) END) AS ended_at,
    CASE
        WHEN any_value(still_open) IS NULL
            THEN arg_max(coalesce(person, 'run ' || run_id), happened_at) FILTER (is_end)
    END AS ended_by,
    CASE WHEN any_value(still_open) IS NULL THEN arg_max(reason, happened_at) FILTER (is_end) END AS reason,
    count(DISTINCT (key, version_id)) FILTER (key IS NOT NULL) AS objects,
    coalesce(any_value(still_open), 0) AS objects_open,
    string_agg(DISTINCT bucket, ' ' ORDER BY bucket) AS buckets,
    string_agg(DISTINCT pair, ' ' ORDER BY pair) AS pairs,
    string_agg(DISTINCT diagnosis, ' ' ORDER BY diagnosis) AS diagnoses,
    in_words(min(happened_at) FILTER (event = 'confirmed')) AS confirmed_at,
    in_words(max(happened_at) FILTER (event = 'repaired')) AS repaired_at,
    in_words(max(happened_at) FILTER (event = 'verified')) AS verified_at
FROM (SELECT *, event IN ('closed', 'dismissed') AS is_end FROM incident_events)
LEFT JOIN open_objects USING (incident_id)
GROUP BY incident_id
HAVING any_value(still_open) IS NOT NULL OR max(happened_at) >= (SELECT since FROM period)
ORDER BY opened_at, incident_id;


-- The drills that were not over before the period: damage done on purpose, and how soon the schedule found it.
SET VARIABLE drills = list_concat(['empty/drills.parquet'], (SELECT list(file ORDER BY file) FROM glob('lake/drills/*/*/*.parquet')));
CREATE OR REPLACE TEMP VIEW drills AS
SELECT
    bucket,
    drill_id,
    in_words(min(utc(damaged_at))) AS damaged_at,
    count(*) AS objects,
    count(found_at) AS found,
    count(*) FILTER (found_at <= due_by) AS found_in_time,
    round(max(epoch(found_at) - epoch(damaged_at)) / 3600, 1) AS slowest_hours,
    in_words(min(utc(due_by))) AS due_by,
    any_value(person) AS person
FROM (
    SELECT *
    FROM (
        SELECT *, regexp_extract(filename, '^.*lake/drills/([^/]+)/[^/]+/[^/]+$', 1) AS bucket
        FROM read_parquet(getvariable('drills'), union_by_name = true, filename = true)
    )
    -- `over` comes after `damaged`, and has all that the other has.
    QUALIFY filename = max(filename) OVER (PARTITION BY bucket, drill_id)
)
GROUP BY bucket, drill_id
HAVING min(utc(damaged_at)) < (SELECT until FROM period)
    AND coalesce(max(utc(greatest(found_at, due_by))) >= (SELECT since FROM period), true)
ORDER BY bucket, damaged_at, drill_id;


-- The figures of each report of a pair, as they were kept beside its CSV.
SET VARIABLE reports = list_concat(['empty/report.json'], (SELECT list(file ORDER BY file) FROM glob('lake/metadata/*/checksums/stats/**/*.json')));
CREATE OR REPLACE TEMP VIEW reports AS
SELECT
    regexp_extract(filename, '^.*(lake/metadata/.*)$', 1) AS file,
    (content ->> 'total_objects')::BIGINT AS objects,
    (content ->> 'matches')::BIGINT AS matches,
    (content ->> 'mismatches')::BIGINT AS mismatches,
    (content ->> 'missing_replica')::BIGINT AS missing_replica,
    (content ->> 'missing_source')::BIGINT AS missing_source,
    (content ->> 'failed_source')::BIGINT AS failed_source,
    (content ->> 'failed_replication')::BIGINT AS failed_replication
FROM read_text(getvariable('reports'))
WHERE filename NOT LIKE '%empty/report.json'
ORDER BY file;


-- Which software made the checks: each file of the ledger says it.
CREATE OR REPLACE TEMP VIEW software AS
SELECT
    coalesce(decode(value)::JSON ->> 'software', 'not recorded') AS software,
    count(*) AS ledger_files
FROM parquet_kv_metadata(getvariable('checks'))
WHERE decode(key) = 'fixity'
GROUP BY ALL
ORDER BY ALL;
