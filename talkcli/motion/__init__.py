"""From sound to motion: speech features, lips, voice activity, idle motion, curve files."""

from talkcli.motion.stream import MotionOptions, motion_frames

__all__ = ["MotionOptions", "motion_frames"]
