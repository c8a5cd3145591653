"""Avatars fitted to a clip of one person: the ``audio-plane`` engine.

A portrait avatar of the clip's best frame is fitted to the clip's other frames: every splat gets
its own place, size, colour and opacity, and offsets that expression or sound drive.
"""
