-- The rows of an inventory report of Google, as those of S3 Inventory. An MD5 stands where S3 has an ETag; an object
-- without one keeps its ETag behind a dash, so that nobody takes it for an MD5. gcs.py fills in the braces.
(
    SELECT
        bucket,
        name AS key,
        {is_latest} AS is_latest,
        false AS is_delete_marker,
        size,
        updated AS last_modified_date,
        CASE WHEN md5Hash <> '' THEN lower(hex(from_base64(md5Hash))) ELSE '-' || etag END AS e_tag,
        storageClass AS storage_class,
        CASE WHEN coalesce(md5Hash, '') = '' AND {has_crc32c} THEN 'CRC32C' END AS checksum_algorithm,
        filename
    FROM {scan}
)
