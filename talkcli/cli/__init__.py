"""The command line; its entry point is :mod:`talkcli.cli.app`."""
