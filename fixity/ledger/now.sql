-- The rows of a snapshot's table as they are now: those that changed after it was folded replace its own.
-- The views `folded` and `since` hold the table and the changed rows, the newest file's last by name.
CREATE OR REPLACE TEMP VIEW now AS
WITH changed AS (
    SELECT *, content(version_id, etag, last_modified, size) AS content
    FROM since
    QUALIFY row_number() OVER (PARTITION BY key, content ORDER BY filename DESC) = 1
)

SELECT f.* FROM (SELECT *, content(version_id, etag, last_modified, size) AS content FROM folded) AS f
ANTI JOIN changed USING (key, content)
UNION ALL BY NAME
FROM changed
