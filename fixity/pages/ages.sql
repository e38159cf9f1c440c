-- How many listed objects were last read on which day; NULL for never. The view `now` holds the snapshot's
-- objects as they are. A day is the number of days since 1970 (UTC); a time in the future counts as 1970.
SELECT
    epoch_us(trusted(verified_at, $now + INTERVAL 1 DAY)) // 86_400_000_000 AS day,
    count(*) AS objects
FROM now
WHERE listed
GROUP BY day
