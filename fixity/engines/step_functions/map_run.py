"""A map run's names: the key of its manifest, the consignment and the id that are in it, its results' key.

A ResultWriter with the prefix `<consignment id>/<random id>/results.json` writes its manifest to
`<consignment id>/<random id>/results.json/<id of the map run>/manifest.json`. What stands between the
random id and the id of the map run is the state machine's affair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fixity.catalog.map_results import DEFAULT_RESULTS_KEY
from fixity.engines.step_functions.errors import ResultsRefused

MANIFEST = "/manifest.json"
"""What the keys of manifests end with."""

# What Dagster allows in the name of a partition: control characters and "..." are not.
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f]|\.\.\.")


@dataclass(frozen=True)
class MapRun:
    """A map run whose results stand in a bucket.

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
        """The prefix that the ResultWriter was given, with a slash at its end."""
        return self.manifest.removesuffix(MANIFEST).rpartition("/")[0] + "/"

    @property
    def url(self) -> str:
        """Where the manifest stands, for people."""
        return f"s3://{self.bucket}/{self.manifest}"

    def results_key(self, template: str = DEFAULT_RESULTS_KEY) -> str:
        """The key of the results object, from the catalog's `results_key`."""
        return template.format(consignment_id=self.consignment_id, uuid=self.uuid)

    @classmethod
    def of(
        cls, bucket: str, manifest: str, prefix: str = "", results_key: str = DEFAULT_RESULTS_KEY
    ) -> MapRun:
        """The map run of a manifest's key.

        Arguments: `prefix` and `results_key` as the catalog has them. Raises ResultsRefused for a key
        without a consignment id or a random id.
        """
        said = manifest[len(prefix) :].split("/") if manifest.startswith(prefix) else []
        # Of `<random id>/results.json/<id>/manifest.json` the words would be taken for ids.
        words = set(results_key.split("/"))
        usable = (
            len(said) >= 4
            and said[-1] == MANIFEST[1:]
            and all(said)
            and not words & {said[0], said[1]}
            and not _UNUSABLE.search(f"{said[0]}/{said[1]}")
        )
        if not usable:
            raise ResultsRefused(
                f"s3://{bucket}/{manifest} is not the key of a map run's manifest: it must be "
                f"{prefix}<consignment id>/<random id>/…/<id of the map run>/manifest.json"
            )
        return cls(bucket, manifest, said[0], said[1])

    @classmethod
    def at(cls, url: str, prefix: str = "", results_key: str = DEFAULT_RESULTS_KEY) -> MapRun:
        """The map run of a manifest's `s3://` URL. Raises ResultsRefused."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket or not key:
            raise ResultsRefused(f"{url!r} is no place of a manifest: write s3://bucket/…/manifest.json")
        return cls.of(bucket, key, prefix, results_key)
