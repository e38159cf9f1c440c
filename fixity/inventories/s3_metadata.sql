-- The rows of a live inventory table, without those of objects that S3 had no time to look at: all else of these is
-- NULL. s3_metadata.py fills in the braces.
(
    SELECT
        * REPLACE (coalesce(is_delete_marker, false) AS is_delete_marker),
        sequence_number = max(sequence_number) OVER (PARTITION BY key) AS is_latest
    FROM read_parquet({file}, filename = true)
    QUALIFY is_delete_marker OR size IS NOT NULL OR last_modified_date IS NOT NULL
)
