"""From sound to motion: speech features, lips, voice activity, idle motion, curve files."""

from talkcli.motion.talk import TalkSettings, motion_frames

__all__ = ["TalkSettings", "motion_frames"]
