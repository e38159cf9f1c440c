"""Whether a deployment can do its work: the lake, the buckets and queues, the disks, the installed packages.

It only asks, and removes what it put. What Dagster knows (its database, daemon and servers) does not belong
here; that is in `fixity_cli.deployment`.
"""

from fixity.doctor.buckets import look_at_buckets
from fixity.doctor.finding import OK, WARNING, WRONG, Finding
from fixity.doctor.lake import look_at_lake
from fixity.doctor.log import look_at_log
from fixity.doctor.machine import look_at_disk, look_at_packages
from fixity.doctor.queues import look_at_queues

__all__ = [
    "OK",
    "WARNING",
    "WRONG",
    "Finding",
    "look_at_buckets",
    "look_at_disk",
    "look_at_lake",
    "look_at_log",
    "look_at_packages",
    "look_at_queues",
]
