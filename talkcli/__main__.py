"""``python -m talkcli``."""

from talkcli.cli.app import main

main()
