"""The name and the version of this software: nothing has to look for them at the start. The package is built
with the version."""

SOFTWARE = "fixity-platform"
VERSION = "0.1.0"
