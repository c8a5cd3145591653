"""The bundled weights and tables, and where they are."""
