"""Files that appear complete or not at all, and clear errors if they cannot be written."""
