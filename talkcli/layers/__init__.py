"""What a picture is taken apart into: mattes, the plate behind the head, the torso."""
