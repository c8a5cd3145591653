"""The face: topology, model, pose, expression shapes and how they are solved for."""
