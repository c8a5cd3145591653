"""Motion of the head: from speech, idle motion, from a driver, and curve files."""

from talkcli.motion.talk import TalkSettings, motion_frames

__all__ = ["TalkSettings", "motion_frames"]
