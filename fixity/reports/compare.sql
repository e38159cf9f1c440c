-- The comparison of a pair within one range of keys. judge.py runs these statements. Only this file decides the
-- status and the detail of a row. In: variables, which judge.py sets.


-- A version's name on both sides: a store without versions has none, and objects from before versioning
-- have S3's version 'null'.
CREATE OR REPLACE TEMP MACRO version_named(id) AS CASE WHEN id NOT IN ('', 'null') THEN id END;


-- The objects of either side in the order of a report, where beside.py cannot have them. In: `source_rows` and
-- `replica_rows`, the rows of both tables with their numbers.
WITH
source AS (SELECT COLUMNS(*) AS 'source_\0' FROM source_rows WHERE is_latest OR getvariable('by_version')),
replica AS (SELECT COLUMNS(*) AS 'replica_\0' FROM replica_rows WHERE is_latest OR getvariable('by_version'))
SELECT
    coalesce(source_key, replica_key) AS key,
    CASE WHEN source_key IS NULL THEN replica_version_id ELSE source_version_id END AS version_id,
    source.*,
    replica.*
FROM source
FULL JOIN replica
    ON source_key = replica_key
   AND CASE WHEN getvariable('by_version') THEN version_named(source_version_id) END
       IS NOT DISTINCT FROM CASE WHEN getvariable('by_version') THEN version_named(replica_version_id) END
ORDER BY key, version_id NULLS FIRST;


-- The status of each pair of rows, and its details. In: `pairs`, of which no other file has said that they are
-- plain (plain.py), as beside.py has them, each with a number; `older_rows`, older versions of the source, if only
-- current versions are compared.
WITH
older AS (
    SELECT
        key AS older_key,
        checksum AS older_checksum,
        algorithm AS older_algorithm,
        max_by(version_id, (last_modified, version_id)) AS older_version
    FROM older_rows
    WHERE checksum IS NOT NULL
    GROUP BY ALL
),
explained AS (
    SELECT
        *,
        CASE
            WHEN source_status = 'skipped' THEN source_error_code IN ('DeletedSinceListed', 'ChangedSinceListed')
        END AS source_changed,
        CASE
            WHEN replica_status = 'skipped' THEN replica_error_code IN ('DeletedSinceListed', 'ChangedSinceListed')
        END AS replica_changed,
        CASE
            WHEN source_status <> 'succeeded' THEN concat_ws(': ', source_error_code, source_error_message)
        END AS source_why,
        CASE
            WHEN replica_status <> 'succeeded' THEN concat_ws(': ', replica_error_code, replica_error_message)
        END AS replica_why
    FROM pairs
),
judged AS (
    SELECT
        *,
        CASE
            -- The bytes were read on both sides, and their checksums are the same.
            WHEN source_status = 'succeeded' AND replica_status = 'succeeded'
             AND source_checksum = replica_checksum
             AND source_algorithm = replica_algorithm
             AND source_checksum_type IS NOT DISTINCT FROM replica_checksum_type
             AND source_evidence <> 'stored' AND replica_evidence <> 'stored'
                THEN 'ok'

            -- Deleted or changed since it was listed, and not on the other side: this is unknown.
            WHEN replica_row IS NULL AND source_changed THEN 'not_checked'
            WHEN source_row IS NULL AND replica_changed THEN 'not_checked'

            -- On one side only, and too new to be expected on the other.
            -- A time in the future is no reason to wait: it is wrong.
            WHEN replica_row IS NULL
             AND source_last_modified > getvariable('due_in_replica')
             AND source_last_modified <= getvariable('believable')
                THEN 'pending'
            WHEN source_row IS NULL
             AND replica_last_modified > getvariable('due_in_source')
             AND replica_last_modified <= getvariable('believable')
                THEN 'pending'

            -- On one side only. The listing proves that, whatever the result of the check.
            WHEN replica_row IS NULL THEN 'missing_replica'
            WHEN source_row IS NULL THEN 'missing_source'

            -- It could not be read. If both sides failed, the source's failure comes first.
            WHEN source_status = 'failed' THEN 'failed_source'
            WHEN replica_status = 'failed' THEN 'failed_replication'

            -- It was skipped on a side.
            WHEN source_status <> 'succeeded' OR replica_status <> 'succeeded' THEN 'not_checked'

            -- The checksums cannot be compared. Composite checksums depend on the sizes of the uploaded
            -- parts: equal ones are a match, but different ones are no evidence of damage.
            WHEN source_algorithm <> replica_algorithm
              OR source_checksum IS NULL OR replica_checksum IS NULL
              OR source_evidence = 'stored' OR replica_evidence = 'stored'
              OR source_checksum_type IS DISTINCT FROM replica_checksum_type
              OR source_checksum_type = 'COMPOSITE'
                THEN 'incomparable'

            -- They differ, but matched by key alone they may be two versions: the replica may not have
            -- the source's newest version yet, or may have a version newer than the source's listing.
            WHEN NOT getvariable('by_version')
             AND (
                source_last_modified > getvariable('due_in_replica')
                AND source_last_modified <= getvariable('believable')
                OR replica_last_modified > getvariable('source_listed_at')
                AND replica_last_modified <= getvariable('believable')
             )
                THEN 'pending'

            -- The bytes are wrong.
            ELSE 'mismatch'
        END AS status
    FROM explained
    LEFT JOIN older
        ON older_key = key AND older_checksum = replica_checksum AND older_algorithm = replica_algorithm
)
SELECT
    number,
    status,
    CASE
        WHEN status = 'ok' AND source_size = replica_size THEN NULL
        ELSE nullif(concat_ws(
            '; ',
            CASE
                WHEN status = 'pending' AND replica_row IS NULL
                    THEN 'not in the replica, and too new to be expected there'
                WHEN status = 'pending' AND source_row IS NULL
                    THEN 'not in the source''s listing, and too new to be expected there'
                WHEN status = 'pending' AND source_last_modified > getvariable('due_in_replica')
                    THEN 'they differ, and the source is too new to be expected in the replica'
                WHEN status = 'pending'
                    THEN 'they differ, and the replica was written after the source was listed'
                WHEN status IN ('missing_replica', 'missing_source', 'failed_source', 'failed_replication')
                    THEN NULL
                WHEN status = 'not_checked' AND replica_row IS NULL THEN 'not in the replica'
                WHEN status = 'not_checked' AND source_row IS NULL THEN 'not in the source'
                WHEN status = 'incomparable' AND source_algorithm <> replica_algorithm
                    THEN concat('different algorithms: ', source_algorithm, ' and ', replica_algorithm)
                WHEN status = 'incomparable' AND source_checksum IS NULL AND replica_checksum IS NULL
                    THEN 'neither side has a checksum'
                WHEN status = 'incomparable' AND source_checksum IS NULL THEN 'the source has no checksum'
                WHEN status = 'incomparable' AND replica_checksum IS NULL THEN 'the replica has no checksum'
                WHEN status = 'incomparable' AND source_evidence = 'stored' AND replica_evidence = 'stored'
                    THEN 'both checksums were stored at upload: nobody read the bytes'
                WHEN status = 'incomparable' AND source_evidence = 'stored'
                    THEN 'the source''s checksum was stored at upload: nobody read the bytes'
                WHEN status = 'incomparable' AND replica_evidence = 'stored'
                    THEN 'the replica''s checksum was stored at upload: nobody read the bytes'
                WHEN status = 'incomparable' AND source_checksum_type IS DISTINCT FROM replica_checksum_type
                    THEN concat(
                        'different checksum types: ',
                        coalesce(source_checksum_type, 'unknown'), ' and ',
                        coalesce(replica_checksum_type, 'unknown')
                    )
                WHEN status = 'incomparable'
                    THEN 'composite checksums differ, as they do where the parts had other sizes'
                WHEN status = 'mismatch' AND older_key IS NOT NULL
                    THEN concat('the replica holds an older version (', coalesce(older_version, 'null'), ')')
                WHEN status = 'mismatch' AND NOT getvariable('by_version')
                 AND replica_last_modified < source_last_modified
                    THEN 'the replica was written before the source''s current version and may hold an older one'
            END,
            CASE
                WHEN source_status = 'failed'
                    THEN concat('the source could not be read: ', source_why)
                WHEN source_status <> 'succeeded'
                    THEN concat('the source was not checked: ', source_why)
            END,
            CASE
                WHEN replica_status = 'failed'
                    THEN concat('the replica could not be read: ', replica_why)
                WHEN replica_status <> 'succeeded'
                    THEN concat('the replica was not checked: ', replica_why)
            END,
            CASE
                WHEN source_size <> replica_size
                    THEN concat('sizes differ: ', source_size, ' and ', replica_size, ' bytes')
            END
        ), '')
    END AS detail
FROM judged;
