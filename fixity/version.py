"""The version of this software: the package is built with it, and nothing has to look for it at the start."""

VERSION = "0.1.0"
