"""``talkcli eval``: how close a made video comes to the real one."""
