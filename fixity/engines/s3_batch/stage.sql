-- The rows of a completion report, judged by themselves, a file for each range of keys. A row's message
-- is JSON where the task succeeded, and malformed where it failed. What stands in braces is
-- filled in by stage.py, since DuckDB takes no parameters in a COPY.
COPY (
    WITH
    -- Quoting is right in the files of tasks that succeeded; what has not seven columns there is refused.
    results AS (
        FROM read_csv(
            {succeeded}, header = false, delim = ',', quote = '"', escape = '"', auto_detect = false,
            strict_mode = true, columns = {columns}
        )
        UNION ALL
        -- Those of failed tasks are no CSV: failed_rows.py has split them.
        FROM read_parquet({failed}, hive_partitioning = false)
    ),
    read AS (
        SELECT
            CASE WHEN bucket = {bucket} THEN {key}
                ELSE error(concat('a row is of the bucket ', coalesce(bucket, '(none)'), ', not of ', {bucket}))
            END AS key,
            -- S3's version 'null' is the one of an unversioned time.
            CASE WHEN version_id NOT IN ('', 'null') THEN version_id END AS version_id,
            task_status,
            error_code,
            message,
            CASE WHEN task_status = 'succeeded' THEN TRY(from_json(
                message,
                '{{"checksum_base64": "VARCHAR", "ETag": "VARCHAR", "checksumAlgorithm": "VARCHAR",
                  "checksumType": "VARCHAR", "checksum_hex": "VARCHAR"}}'
            )) END AS said
        FROM results
    ),
    decoded AS (
        SELECT
            *,
            -- Both spellings of the name occur.
            coalesce(
                said.ETag,
                CASE WHEN task_status = 'succeeded' THEN TRY(json_extract_string(message, '$.etag')) END
            ) AS etag,
            TRY(unhex(said.checksum_hex)) AS in_hex,
            TRY(from_base64(said.checksum_base64)) AS in_base64
        FROM read
    ),
    judged AS (
        SELECT
            *,
            CASE
                WHEN task_status = 'succeeded' THEN CASE
                    WHEN etag IS NULL OR said.checksumAlgorithm IS NULL THEN 'MalformedResult'
                    WHEN said.checksumAlgorithm <> {algorithm} THEN 'OtherAlgorithm'
                    WHEN in_hex IS NULL OR in_base64 IS NULL OR octet_length(in_hex) <> {octets}
                        THEN 'MalformedChecksum'
                    WHEN in_hex <> in_base64 THEN 'ContradictoryChecksum'
                END
                WHEN task_status = 'failed' THEN coalesce(nullif(error_code, ''), 'TaskFailed')
                ELSE 'UnknownTaskStatus'
            END AS wrong
        FROM decoded
    )
    SELECT
        {range} AS range,
        key,
        version_id,
        CASE WHEN starts_with(etag, '"') THEN trim(etag, '"') ELSE etag END AS etag,
        CASE WHEN wrong IS NULL THEN said.checksumType END AS checksum_type,
        CASE WHEN wrong IS NULL THEN in_hex END AS checksum,
        wrong AS error_code,
        CASE
            WHEN wrong IS NULL THEN NULL
            WHEN task_status = 'failed' THEN concat_ws(
                ' ',
                coalesce(
                    nullif(regexp_extract(message, '(?s)failureMessage"*: *"*(?:Task [0-9a-f-]{{36}} )?(.*?)"*, *"+errorCode', 1), ''),
                    message, 'S3 gave no reason'
                ),
                '(' || nullif(regexp_extract(message, 'errorCode"*: *"*([^"}}]+)', 1), '') || ')'
            )
            WHEN wrong = 'OtherAlgorithm'
                THEN concat('S3 computed ', said.checksumAlgorithm, ' where ', {algorithm}, ' was asked for')
            WHEN wrong = 'ContradictoryChecksum'
                THEN concat('hex ', said.checksum_hex, ' and base64 ', said.checksum_base64, ' are not the same bytes')
            WHEN wrong = 'MalformedChecksum' THEN concat(
                'no checksum of ', {octets}, ' bytes: hex ', coalesce(said.checksum_hex, '(none)'),
                ', base64 ', coalesce(said.checksum_base64, '(none)')
            )
            WHEN wrong = 'UnknownTaskStatus' THEN concat('the task ended as ', coalesce(task_status, '(nothing)'))
            ELSE concat('not understood: ', left(message, 200))
        END AS error_message
    -- Keys outside the bucket's prefix are NULL, and meet nothing: rows are counted with them.
    FROM judged
) TO {staged} (FORMAT parquet, COMPRESSION lz4, PARTITION_BY (range), ROW_GROUP_SIZE 10240, DICTIONARY_SIZE_LIMIT 1)
