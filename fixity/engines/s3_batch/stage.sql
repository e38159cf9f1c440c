-- In: the rows of a completion report that `plain_rows.py` does not read. Out: the rows, each judged on its own.
-- A row's message is JSON if the task succeeded, and malformed JSON if it failed.
-- stage.py fills in the values in braces, which no parameter can be.
WITH
-- The files of successful tasks are valid CSV; a row without seven columns is refused.
results AS (
    FROM read_csv(
        $succeeded, header = false, delim = ',', quote = '"', escape = '"', auto_detect = false,
        strict_mode = true, columns = {columns}, new_line = '\n'
    )
    UNION ALL
    -- Files in which no row ends as S3 ends it; DuckDB recognizes their line ends by the first one.
    FROM read_csv(
        $other_ends, header = false, delim = ',', quote = '"', escape = '"', auto_detect = false,
        strict_mode = true, columns = {columns}
    )
    UNION ALL
    -- The files of failed tasks are not valid CSV: failed_tasks.py has split them into cells.
    FROM read_parquet($failed, hive_partitioning = false)
),
read AS (
    SELECT
        CASE WHEN bucket = $bucket THEN {key}
            ELSE error(concat('a row is of the bucket ', coalesce(bucket, '(none)'), ', not of ', $bucket))
        END AS key,
        -- S3's version 'null' dates from before versioning.
        CASE WHEN version_id NOT IN ('', 'null') THEN version_id END AS version_id,
        task_status,
        http_status,
        error_code,
        message,
        CASE WHEN task_status = 'succeeded' THEN TRY(from_json(
            message,
            '{{"checksum_base64": "VARCHAR", "ETag": "VARCHAR", "checksumAlgorithm": "VARCHAR",
              "checksumType": "VARCHAR", "checksum_hex": "VARCHAR"}}'
        )) END AS result
    FROM results
),
decoded AS (
    SELECT
        *,
        -- Both spellings of the name occur.
        coalesce(
            result.ETag,
            CASE WHEN task_status = 'succeeded' THEN TRY(json_extract_string(message, '$.etag')) END
        ) AS etag,
        TRY(from_base64(result.checksum_base64)) AS checksum
    FROM read
),
judged AS (
    SELECT
        *,
        CASE
            WHEN task_status = 'succeeded' THEN CASE
                -- In whichever order both cells are: S3's manifests and rows differ in it.
                WHEN concat(http_status, error_code) <> '200' THEN 'ContradictoryStatus'
                WHEN etag IS NULL OR result.checksumAlgorithm IS NULL THEN 'MalformedResult'
                WHEN result.checksumAlgorithm <> $algorithm THEN 'OtherAlgorithm'
                WHEN result.checksumType IS DISTINCT FROM $checksum_type THEN 'OtherChecksumType'
                -- `unhex` is slow: only a row whose two spellings are not plainly the same pays for it.
                WHEN hex(checksum) = upper(result.checksum_hex) AND octet_length(checksum) = $octets THEN NULL
                WHEN checksum IS NULL OR coalesce(octet_length(TRY(unhex(result.checksum_hex))), 0) <> $octets
                    THEN 'MalformedChecksum'
                WHEN unhex(result.checksum_hex) <> checksum THEN 'ContradictoryChecksum'
            END
            WHEN task_status = 'failed' THEN coalesce(nullif(error_code, ''), 'TaskFailed')
            ELSE 'UnknownTaskStatus'
        END AS wrong
    FROM decoded
)
SELECT
    key,
    version_id,
    CASE WHEN starts_with(etag, '"') THEN trim(etag, '"') ELSE etag END AS etag,
    CASE WHEN wrong IS NULL THEN result.checksumType END AS checksum_type,
    CASE WHEN wrong IS NULL THEN checksum END AS checksum,
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
            THEN concat('S3 computed ', result.checksumAlgorithm, ' but ', $algorithm, ' was requested')
        WHEN wrong = 'ContradictoryStatus' THEN concat_ws(
            ' ', 'the task succeeded, but its status is', left(http_status, 40), left(error_code, 100)
        )
        WHEN wrong = 'OtherChecksumType' THEN concat(
            'S3 computed a checksum of the type ', coalesce(left(result.checksumType, 40), '(not told)'), ' but ',
            $checksum_type, ' was requested'
        )
        WHEN wrong = 'ContradictoryChecksum'
            THEN concat('hex ', result.checksum_hex, ' and base64 ', result.checksum_base64, ' are different bytes')
        WHEN wrong = 'MalformedChecksum' THEN concat(
            'no checksum of ', $octets, ' bytes: hex ', coalesce(result.checksum_hex, '(none)'),
            ', base64 ', coalesce(result.checksum_base64, '(none)')
        )
        WHEN wrong = 'UnknownTaskStatus' THEN concat('the task ended as ', coalesce(task_status, '(nothing)'))
        ELSE concat('not understood: ', left(message, 200))
    END AS error_message
-- Keys outside the bucket's prefix are NULL and match no object, but count as rows.
FROM judged
