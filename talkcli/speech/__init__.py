"""What is heard in a recording: features, voice activity, the expression it asks for."""
