"""From input files to output files: what every command of the command line calls."""
