"""How fast talkcli is on this machine: the measurements of ``talkcli bench``."""
