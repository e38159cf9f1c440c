"""Pages for people: static HTML in the lake, one file each, with nothing that is fetched from elsewhere.

They show what the status, the reports, the snapshots and the incidents say. Checking and comparing do not
belong here.
"""

from fixity.pages.make import INDEX, make_pages

__all__ = ["INDEX", "make_pages"]
