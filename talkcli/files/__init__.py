"""Files that appear whole or not at all, and what is said when they cannot."""
