"""The command line; :mod:`talkcli.cli.app` is its entry."""
