-- The suspect rows of a comparison within one range of keys, and what is known of its rows. compare.py runs a
-- statement only where there is something to say. In: the table `compared` and the view `numbered` of compare.sql;
-- $suspect, the suspect statuses; for the second statement the views `source_checks` and `replica_checks` of both
-- sides' tables.


-- What was found out about a suspect row. Those without a finding are beyond the rows that were examined.
UPDATE compared SET
    detail = nullif(concat_ws('; ', compared.detail, known.note), ''),
    diagnosis = known.diagnosis,
    diagnosis_rests_on = known.diagnosis_rests_on,
    last_agreed_at = known.last_agreed_at
FROM (
    SELECT
        suspect.rowid AS id,
        CASE WHEN found.key IS NULL THEN $not_twice ELSE found.note END AS note,
        found.diagnosis,
        found.diagnosis_rests_on,
        found.last_agreed_at
    FROM compared AS suspect
    LEFT JOIN (
        FROM read_parquet($findings) WHERE key >= $lower AND ($upper IS NULL OR key < $upper)
    ) AS found
        ON found.key = suspect.key AND found.version_id IS NOT DISTINCT FROM suspect.version_id
    WHERE list_contains($suspect, suspect.status)
) AS known
WHERE compared.rowid = known.id;


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


-- The first suspect rows, with their numbers in both tables.
FROM numbered WHERE list_contains($suspect, status) LIMIT $most_suspects;
