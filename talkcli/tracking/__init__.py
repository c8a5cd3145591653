"""Faces in pictures: landmarks, pose, matte and the face template."""
