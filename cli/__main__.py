"""`python -m cli` is the `fixity` command."""

from cli.main import main

main()
