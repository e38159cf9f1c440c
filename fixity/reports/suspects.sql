-- The suspect rows of a comparison within one range of keys, and what is known of its rows. suspects.py runs a
-- statement only where there is something to say. In: the table `compared`, rows of compare.sql;
-- $suspect, the suspect statuses; for the third and the fourth statement the views `source_checks` and
-- `replica_checks` of both sides' tables.


-- Whether a check is confirmed: its bytes were as expected, or were read twice since the listing.
CREATE OR REPLACE TEMP MACRO is_confirmed(verdict, reads, checked_at, listed_at) AS coalesce(
    verdict = 'matched' OR reads >= 2 AND checked_at >= listed_at, false
);


-- What was found out about a suspect row.
UPDATE compared SET
    detail = nullif(concat_ws('; ', compared.detail, found.note), ''),
    diagnosis = found.diagnosis,
    diagnosis_rests_on = found.diagnosis_rests_on,
    last_agreed_at = found.last_agreed_at
FROM (FROM read_parquet($findings) WHERE key >= $lower AND ($upper IS NULL OR key < $upper)) AS found
WHERE list_contains($suspect, compared.status)
  AND found.key = compared.key AND found.version_id IS NOT DISTINCT FROM compared.version_id;


-- The suspect rows without a finding are beyond those that were examined. Only those are said to be not looked at
-- twice of which no earlier look has confirmed the checks. That an object is missing is in no check.
UPDATE compared SET detail = concat_ws('; ', compared.detail, $not_twice)
FROM (
    SELECT DISTINCT suspect.rowid AS id
    FROM compared AS suspect
    ANTI JOIN (FROM read_parquet($findings) WHERE key >= $lower AND ($upper IS NULL OR key < $upper)) AS found
        ON found.key = suspect.key AND found.version_id IS NOT DISTINCT FROM suspect.version_id
    JOIN (
        SELECT *, $source_listed_at AS listed_at FROM source_checks
        UNION ALL
        SELECT *, $replica_listed_at AS listed_at FROM replica_checks
    ) AS its
        ON its.key = suspect.key
       AND CASE WHEN $by_version THEN version_named(its.version_id) END
           IS NOT DISTINCT FROM CASE WHEN $by_version THEN version_named(suspect.version_id) END
    WHERE list_contains($suspect, suspect.status)
      AND its.key >= $lower AND ($upper IS NULL OR its.key < $upper)
      AND (its.is_latest OR $by_version)
      AND (
        suspect.status IN ('missing_source', 'missing_replica')
        OR (suspect.status = 'mismatch' OR its.status = 'failed')
        AND NOT is_confirmed(its.verdict, its.reads, its.checked_at, its.listed_at)
      )
) AS once
WHERE compared.rowid = once.id;


-- Rows of which both sides have the same bytes, though a side's check says that they are not the right ones.
UPDATE compared SET detail = concat_ws('; ', compared.detail, known.note)
FROM (
    SELECT
        ok.rowid AS id,
        concat('the same bytes on both sides, but ', string_agg(
            concat(side, '''s check expects ', expected_algorithm, ' ', expected, ' (', expected_from, ')'),
            '; ' ORDER BY side DESC
        )) AS note
    FROM compared AS ok
    JOIN (
        SELECT *, 'the source' AS side FROM source_checks
        UNION ALL
        SELECT *, 'the replica' AS side FROM replica_checks
    ) AS damaged
        ON damaged.key = ok.key
       AND CASE WHEN $by_version THEN version_named(damaged.version_id) END
           IS NOT DISTINCT FROM CASE WHEN $by_version THEN version_named(ok.version_id) END
    WHERE ok.status = 'ok' AND damaged.verdict = 'differs'
      AND damaged.key >= $lower AND ($upper IS NULL OR damaged.key < $upper)
      AND (damaged.is_latest OR $by_version)
    GROUP BY ok.rowid
) AS known
WHERE compared.rowid = known.id;
