"""Kinds of avatar behind one seam; `registry` knows them all."""
