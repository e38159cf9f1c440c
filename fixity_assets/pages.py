"""The pages for people: static HTML in the lake, `pages/index.html` first. Open it in any browser.

They say whether everything is verified; if not, what is wrong, which copy is bad and what to do; how long ago
everything was read; and from which files each page was made. A page is made again when what it shows changes.
"""

import dagster as dg

from fixity_assets.describe import RETRIES, failures_in_plain_words
from fixity_assets.fixity_status import GROUP
from jobs.names import PAGES_ASSET, STATUS_ASSET
from resources import CatalogResource, LakeResource


def pages_asset(owners: list[str]) -> dg.AssetsDefinition:
    """The asset `pages`."""

    @dg.asset(
        name=PAGES_ASSET,
        description=__doc__,
        group_name=GROUP,
        kinds={"html"},
        owners=owners,
        deps=[STATUS_ASSET],
        retry_policy=RETRIES,
    )
    def pages(
        context: dg.AssetExecutionContext, catalog: CatalogResource, lake: LakeResource
    ) -> dg.MaterializeResult:
        from fixity.pages import INDEX, make_pages  # the library of templates takes long to import

        with failures_in_plain_words():
            kept_in = lake.open()
            made = make_pages(kept_in, catalog.catalog, run_id=context.run.run_id)
        return dg.MaterializeResult(
            metadata={
                "first_page": dg.MetadataValue.path(kept_in.location(INDEX)),
                "pages_made": len(made),
            }
        )

    return pages
