"""The resource that opens the bucket of a Distributed Map's results. Reading results does not belong here."""

import dagster as dg
from botocore.exceptions import BotoCoreError

from fixity.catalog import CatalogError, MapResults
from fixity.catalog.clients import s3_client
from fixity.engines.step_functions import ResultsBucket
from fixity.errors import BucketUnreachable
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
        try:
            client = s3_client(self.catalog.catalog.stores[settings.store])
        except BotoCoreError as error:
            raise BucketUnreachable(f"the bucket {settings.bucket} cannot be opened: {error}") from error
        return ResultsBucket(client, settings.bucket)
