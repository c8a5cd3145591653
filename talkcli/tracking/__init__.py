"""Faces in pictures and clips: detection, landmarks, and the performance they show."""
