"""The assets: one module a table, thin: fetch, call `fixity`, keep, describe with metadata.

`definitions.py` is the one place where everything is put together. How a thing is computed does not
belong here but in `fixity`.
"""

from fixity_assets.namesakes import refuse_namesakes

refuse_namesakes()  # before any module here imports `jobs` or `resources`
