"""The layers of a picture: mattes, the plate behind the head, and the torso."""
