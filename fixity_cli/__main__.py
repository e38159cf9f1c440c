"""`python -m fixity_cli` is the `fixity` command."""

from fixity_cli.main import main

main()
