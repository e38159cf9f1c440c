-- The rows of a blob inventory of Azure, as those of S3 Inventory: a name is the container's, a slash, and the blob's.
-- Folders, snapshots, deleted blobs and former versions are rows too; they are left out as delete markers are.
-- azure.py fills in the braces.
(
    SELECT
        split_part("Name", '/', 1) AS bucket,
        substr("Name", strpos("Name" || '/', '/') + 1) AS key,
        NOT ({not_current}) AS is_latest,
        ({not_current}) AS is_delete_marker,
        "Content-Length" AS size,
        "Last-Modified" AS last_modified_date,
        "ETag" AS e_tag,
        "AccessTier" AS storage_class,
        NULL::VARCHAR AS checksum_algorithm,
        filename
    FROM {scan}
)
