"""Trains the decoder of :mod:`talkcli.engines.mggtalk` on clips of many people."""
