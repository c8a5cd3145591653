"""talkcli: talking-head video from one portrait or a short clip, with 3D Gaussian splatting."""

__version__ = "0.1.0"
