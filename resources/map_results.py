"""The resource that starts Distributed Maps, and opens the bucket of their results.

Reading results does not belong here.
"""

import dagster as dg

from fixity.catalog import Bucket, CatalogError, MapResults
from fixity.engines.step_functions import ResultsBucket
from resources.catalog import CatalogResource


class MapResultsResource(dg.ConfigurableResource):
    """Opens the bucket of the catalog's `map_results`."""

    catalog: dg.ResourceDependency[CatalogResource]

    @property
    def settings(self) -> MapResults:
        """The catalog's `map_results`. Raises CatalogError if it was removed."""
        settings = self.catalog.catalog.map_results
        if settings is None:
            raise CatalogError(["there is no `map_results` any more: reload the code location"])
        return settings

    def start(self, bucket: Bucket, request_id: str) -> str:
        """Start the state machine for a bucket; returns the execution's ARN.

        Arguments: `request_id`, the same for every attempt at one request.
        Raises MapNotStarted, CatalogError.
        """
        from fixity.catalog.clients import step_functions_client
        from fixity.engines.step_functions.request import start_map

        settings = self.settings
        if settings.state_machine is None:
            raise CatalogError(["`map_results` has no `state_machine` any more: reload the code location"])
        client = step_functions_client(self.catalog.catalog.stores[settings.store], settings.state_machine)
        return start_map(client, settings.state_machine, bucket, request_id)

    def open(self) -> ResultsBucket:
        """The bucket. Raises BucketUnreachable, CatalogError."""
        settings = self.settings
        return ResultsBucket.open(self.catalog.catalog.stores[settings.store], settings.bucket)
