"""The columns and status words of a pair's report, with their meanings, in order; its suspect rows; and the
columns of the report of all copies of a pair with several replicas.

The first seven columns and the first six words are those of DuraCloud's checksum report. `compare.sql`
decides the status of a row.
"""

from __future__ import annotations

import pyarrow as pa

from fixity.tables import CHECKSUMS

COLUMNS: dict[str, tuple[str, str]] = {
    "bucket": ("string", "The source bucket's name in the catalog"),
    "key": ("string", "The object's key"),
    "version_id": ("string", "The source's version, or the replica's if the source does not have the object"),
    "status": ("string", "The result of the comparison: one of the report's status words"),
    "checksum_algorithm": ("string", "Algorithm of the checksums, in S3's spelling"),
    "checksum_source": ("string", "The source's checksum, lower-case hex"),
    "checksum_replication": ("string", "The replica's checksum, lower-case hex"),
    "size_source": ("int", "Bytes, as the source lists them"),
    "size_replication": ("int", "Bytes, as the replica lists them"),
    "etag_source": ("string", "ETag as the source lists it"),
    "etag_replication": ("string", "ETag as the replica lists it"),
    "checked_source": ("string", "When the source's check ended (UTC)"),
    "checked_replication": ("string", "When the replica's check ended (UTC)"),
    "detail": ("string", "More details: errors, reasons, different sizes"),
    "diagnosis": ("string", "Of a row that was looked at twice: which copy is bad, or why nobody can tell"),
    "diagnosis_rests_on": ("string", "The evidence for the diagnosis"),
    "last_agreed_at": ("string", "When both sides were last known to be the same (UTC)"),
}
"""Column: its type as the UI shows it, its meaning."""

STATUSES: dict[str, str] = {
    "ok": "Both sides were read, and their checksums are the same",
    "mismatch": "Both sides were read, and their checksums differ",
    "missing_replica": "In the source, not in the replica, and older than the replication lag",
    "missing_source": "In the replica, not in the source, and older than the replication lag",
    "failed_source": "The source could not be read; `detail` has the reason",
    "failed_replication": "The replica could not be read; `detail` has the reason",
    "incomparable": "The checksums cannot be compared: other algorithms, or composite ones",
    "not_checked": "Skipped on a side: overwritten or deleted since it was listed, archived, or listed since "
    "the last check",
    "pending": "Newer than the replication lag, or written while the buckets were listed",
}
"""Status word: its meaning."""

WORST_FIRST = (
    "mismatch",
    "missing_source",
    "missing_replica",
    "failed_source",
    "failed_replication",
    "incomparable",
    "not_checked",
    "pending",
    "ok",
)
"""The status words from the worst on: an object has the worst one of its copies."""

COPIES_COLUMNS: dict[str, str] = {
    "bucket": "The source bucket's name in the catalog",
    "key": "The object's key",
    "version_id": "The source's version, or that of a replica if the source does not have the object",
    "status": "The worst status of all copies: one of the status words of a pair's report",
    "checksum_algorithm": "Algorithm of the checksums, in S3's spelling",
    "copies_compared": "How many copies were read and compared, the source among them if it has the object",
    "majority": "The checksum that more than half of them have, where they are at least three, and the "
    "source has it, or is bad by the diagnosis",
    "differing": "The buckets that have another checksum than the majority, separated by spaces",
    "bad_copies": "The buckets whose copy is bad by the diagnosis, separated by spaces",
    "detail": "More details: no majority, or reports that rest on different checks of the source",
}
"""The first columns of the report of all copies, with their meanings."""

OF_THE_SOURCE: dict[str, str] = {
    "checksum": "The source's checksum, lower-case hex",
    "size": "Bytes, as the source lists them",
    "etag": "ETag as the source lists it",
    "checked": "When the source's check ended (UTC)",
}
"""The columns of the source in the report of all copies, each after the bucket's name and a colon."""

OF_A_COPY: dict[str, tuple[str, str]] = {
    "status": (
        "status",
        "The status of this copy's own report; empty: neither it nor the source has the object",
    ),
    "checksum": ("checksum_replication", "The copy's checksum, lower-case hex"),
    "size": ("size_replication", "Bytes, as this replica lists them"),
    "etag": ("etag_replication", "ETag as this replica lists it"),
    "checked": ("checked_replication", "When this copy's check ended (UTC)"),
    "detail": ("detail", COLUMNS["detail"][1]),
    "diagnosis": ("diagnosis", COLUMNS["diagnosis"][1]),
    "diagnosis_rests_on": ("diagnosis_rests_on", COLUMNS["diagnosis_rests_on"][1]),
    "last_agreed_at": (
        "last_agreed_at",
        "When this copy and the source were last known to be the same (UTC)",
    ),
}
"""The columns of each replica: its column in the replica's own report, and its meaning."""

SUSPECT = ("mismatch", "missing_replica", "missing_source", "failed_source", "failed_replication")
"""The statuses of rows that say that something is wrong. They are looked at twice."""

SUSPECTS = pa.schema(
    [
        *(
            pa.field(name, pa.int64() if kind == "int" else pa.string())
            for name, (kind, _) in COLUMNS.items()
        ),
        *(
            field.with_name(f"{side}_{field.name}").with_nullable(True)
            for side in ("source", "replica")
            for field in CHECKSUMS
            if field.name not in ("key", "other_checksums")
        ),
    ]
)
"""The suspect rows of a report, in its order: its columns, and both sides' checks, NULL without one."""
