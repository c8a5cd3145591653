"""The whole way from files to files: what every command of the command line calls."""
