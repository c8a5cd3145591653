"""From sound to motion: speech features, lips, voice activity, idle motion, curve files."""

from talkcli.motion.talk import MotionOptions, motion_frames

__all__ = ["MotionOptions", "motion_frames"]
