-- The rows of an object of S3's completion report, one line of text each, in the order in which tasks end:
-- any. $side is 0 for the source and 1 for its replica. Of a hundred objects each: one missing on either
-- side, one that differs.
COPY (
    SELECT
        concat(
            {bucket}, ',', key, ',,succeeded,200,,"{{""checksum_base64"":""', base64(unhex(checksum)),
            '"",""ETag"":""', etag, '"",""checksumAlgorithm"":""SHA256"",""checksumType"":""FULL_OBJECT"",',
            '""checksum_hex"":""', upper(checksum), '""}}"'
        ) AS line
    FROM (
        SELECT
            format('collections/c{{:04d}}/{{:07d}}/some-file-{{:06d}}.tif', i // 100000, i // 50, i % 1000000)
                AS key,
            md5(concat('object ', i)) AS etag,
            sha256(concat(i, CASE WHEN {side} = 1 AND i % 100 = 20 THEN 'x' END)) AS checksum,
            hash(i) AS ended
        FROM range({rows}) AS numbers (i)
        WHERE i % 100 <> 30 + {side}
    )
    ORDER BY ended
) TO {file} (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\t')
