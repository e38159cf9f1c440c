"""The names of a map run: the key of its manifest, the two ids in that key, and the key of its results.

A ResultWriter with the prefix `<consignment id>/<random id>/results.json` writes its manifest to
`<consignment id>/<random id>/results.json/<id of the map run>/manifest.json`. The state machine chooses the
part between the random id and the id of the map run. Reading a manifest does not belong here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fixity.catalog.map_results import DEFAULT_RESULTS_KEY
from fixity.engines.step_functions.errors import ResultsRefused

MANIFEST = "/manifest.json"
"""The end of the keys of manifests."""

# Dagster does not allow control characters and "..." in the name of a partition.
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f]|\.\.\.")


@dataclass(frozen=True)
class MapRun:
    """A map run whose results are in a bucket.

    bucket: its real name. manifest: the key of its manifest. consignment_id, uuid: from that key.
    """

    bucket: str
    manifest: str
    consignment_id: str
    uuid: str

    @property
    def name(self) -> str:
        """`<consignment id>/<random id>`: the name of the partition."""
        return f"{self.consignment_id}/{self.uuid}"

    @property
    def writer_prefix(self) -> str:
        """The ResultWriter's prefix, with a slash at its end."""
        return self.manifest.removesuffix(MANIFEST).rpartition("/")[0] + "/"

    @property
    def url(self) -> str:
        """The manifest's URL, for people."""
        return f"s3://{self.bucket}/{self.manifest}"

    def results_key(self, template: str = DEFAULT_RESULTS_KEY) -> str:
        """The key of the results object, from the catalog's `results_key`."""
        return template.format(consignment_id=self.consignment_id, uuid=self.uuid)

    @classmethod
    def of(
        cls, bucket: str, manifest: str, prefix: str = "", results_key: str = DEFAULT_RESULTS_KEY
    ) -> MapRun:
        """The map run of a manifest's key.

        Arguments: `prefix` and `results_key` from the catalog. Raises ResultsRefused for a key without a
        consignment id or a random id.
        """
        parts = manifest[len(prefix) :].split("/") if manifest.startswith(prefix) else []
        # Without this, `results.json` of `<random id>/results.json/<id>/manifest.json` would be an id.
        words = set(results_key.split("/"))
        usable = (
            len(parts) >= 4
            and parts[-1] == MANIFEST[1:]
            and all(parts)
            and not words & {parts[0], parts[1]}
            and not _UNUSABLE.search(f"{parts[0]}/{parts[1]}")
        )
        if not usable:
            raise ResultsRefused(
                f"s3://{bucket}/{manifest} is not the key of a map run's manifest: it must be "
                f"{prefix}<consignment id>/<random id>/…/<id of the map run>/manifest.json"
            )
        return cls(bucket, manifest, parts[0], parts[1])

    @classmethod
    def at(cls, url: str, prefix: str = "", results_key: str = DEFAULT_RESULTS_KEY) -> MapRun:
        """The map run of a manifest's `s3://` URL. Raises ResultsRefused."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket or not key:
            raise ResultsRefused(f"{url!r} is not the URL of a manifest: write s3://bucket/…/manifest.json")
        return cls.of(bucket, key, prefix, results_key)
