"""The resource that opens the bucket of a Distributed Map's results. Reading results does not belong here."""

import dagster as dg

from fixity.catalog import CatalogError, MapResults
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

    def open(self) -> ResultsBucket:
        """The bucket. Raises BucketUnreachable, CatalogError."""
        settings = self.settings
        return ResultsBucket.open(self.catalog.catalog.stores[settings.store], settings.bucket)
