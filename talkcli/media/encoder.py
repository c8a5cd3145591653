"""An ffmpeg process that takes frames without making the caller wait."""

from __future__ import annotations

import importlib.util
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from talkcli.errors import (
    InputError,
    InterruptedRunError,
    MissingDependencyError,
    TalkcliError,
)
from talkcli.files.check import no_space_error
from talkcli.media.feed import SoundFeed

#: Frames that may wait for the encoder. Two let a slow frame of the renderer and one of the
#: encoder cancel out; more would only cost memory (a 3 x 1024² frame has 9 MB).
_QUEUE_FRAMES = 2
#: Frames whose memory :class:`Encoder` may still read after ``put`` returns: the queue's, and the
#: one on its way through the pipe.
FRAMES_HELD = _QUEUE_FRAMES + 1

#: Bytes that the pipe holds, where the system lets it be set. The default of 64 KiB wakes both
#: sides 12 times per 512² frame.
_PIPE_BYTES = 1 << 20

#: Signals that somebody sends; others (SIGSEGV, SIGABRT) are what a faulty program ends by.
_SENT = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: How long ffmpeg may take to end by itself once it has stopped reading.
_EXIT_S = 10.0


def find_ffmpeg() -> str:
    """The ffmpeg to encode with: ``TALKCLI_FFMPEG`` if set, else the one in imageio-ffmpeg.

    An ffmpeg on the PATH is never used: its version and encoders are unknown.

    Raises:
        MissingDependencyError: there is none.
    """
    named = os.environ.get("TALKCLI_FFMPEG")
    if named:
        found = shutil.which(named)
        if found is None:
            raise MissingDependencyError(
                f"TALKCLI_FFMPEG names {named}, which is not a program",
                "correct it, or unset it to use the bundled ffmpeg",
            )
        return found
    spec = importlib.util.find_spec("imageio_ffmpeg")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in sorted(Path(folder, "binaries").glob("ffmpeg-*")):
            if os.access(binary, os.X_OK):
                return str(binary)
    raise MissingDependencyError(
        "the bundled ffmpeg is missing",
        "run: pip install --force-reinstall imageio-ffmpeg, or set TALKCLI_FFMPEG",
    )


class Encoder:
    """Runs ffmpeg with raw frames on its standard input.

    Frames wait in a short queue and a thread writes them, so that encoding overlaps rendering.
    Call ``finish`` or ``kill`` at the end; calling either again does no harm.

    Args:
        command: ffmpeg and its arguments.
        output: what the user asked to be written, for messages.
        sound: the feed whose pipe the command names, or None.
    """

    def __init__(self, command: list[str], output: Path, sound: SoundFeed | None = None) -> None:
        self._output = output
        self._sound = sound
        try:
            # Its own session: Ctrl-C in the terminal reaches talkcli alone, which then decides.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=() if sound is None else (sound.read_end,),
            )
        except OSError as error:
            if sound is not None:
                sound.abandon()
            raise MissingDependencyError(
                f"{command[0]} does not start: {error.strerror}",
                "set TALKCLI_FFMPEG to an ffmpeg that runs here",
            ) from error
        self._widen_pipe()
        self._stopped_reading = False
        self._end_sent = self._killed = False
        self._last_lines: deque[str] = deque(maxlen=20)
        self._frames: queue.Queue[bytes | memoryview | None] = queue.Queue(_QUEUE_FRAMES)
        self._feeder = threading.Thread(target=self._feed, name="encoder-feed", daemon=True)
        self._listener = threading.Thread(target=self._listen, name="encoder-errors", daemon=True)
        self._feeder.start()
        self._listener.start()
        if sound is not None:
            sound.start()

    def put(self, frame: bytes | memoryview) -> None:
        """Queue one frame; wait only while the queue is full.

        The buffer must not change until ``FRAMES_HELD`` more frames have been queued.

        Raises:
            TalkcliError: ffmpeg has failed, or the sound cannot be read.
        """
        if self._sound is not None and self._sound.error is not None:
            raise self._sound.error
        if self._stopped_reading:
            self.finish()
            raise self._failure()
        self._frames.put(frame)

    def finish(self) -> None:
        """Send what is queued, wait for ffmpeg to end, and check that it succeeded.

        Raises:
            TalkcliError: ffmpeg has failed, or the sound cannot be read.
        """
        self._send_end()
        self._feeder.join()
        if self._stopped_reading:
            try:
                self._process.wait(_EXIT_S)
            except subprocess.TimeoutExpired:
                self._killed = True
                self._process.kill()
        status = self._process.wait()
        self._listener.join()
        if self._sound is not None:
            self._sound.join()
            if self._sound.error is not None:
                raise self._sound.error
        if status or self._stopped_reading:
            raise self._failure()

    def kill(self) -> None:
        """Kill ffmpeg and wait until it is gone."""
        self._killed = True
        self._process.kill()
        # The feeder now fails to write, or waits for a frame: either way it takes the end marker.
        self._send_end()
        self._feeder.join()
        self._process.wait()
        self._listener.join()
        if self._sound is not None:
            self._sound.join()

    def _send_end(self) -> None:
        if not self._end_sent:
            self._frames.put(None)
            # After, not before: an interrupted wait must be followed by another end marker.
            self._end_sent = True

    def _feed(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        while (frame := self._frames.get()) is not None:
            # After a failure frames are still taken, so that ``put`` never waits forever.
            if not self._stopped_reading:
                try:
                    pipe.write(frame)
                except OSError:
                    self._stopped_reading = True
        try:
            pipe.close()
        except OSError:
            self._stopped_reading = True

    def _listen(self) -> None:
        pipe = self._process.stderr
        assert pipe is not None
        with pipe:
            for line in pipe:
                text = line.decode(errors="replace").strip()
                if text:
                    self._last_lines.append(text)

    def _widen_pipe(self) -> None:
        if sys.platform != "linux":
            return
        import fcntl

        assert self._process.stdin is not None
        try:
            fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except (OSError, AttributeError):
            return  # Python 3.9 names no F_SETPIPE_SZ, a sandbox may forbid it: only slower

    def _failure(self) -> TalkcliError:
        """Explain why ffmpeg failed, from what it printed."""
        text = "\n".join(self._last_lines)
        status = self._process.poll()
        # Python disregards SIGXFSZ and is told by an error; the child dies of it.
        full = status == -signal.SIGXFSZ or "File too large" in text
        if full or "No space left on device" in text:
            return no_space_error(self._output)
        if "Unknown encoder" in text or "No such filter" in text:
            return MissingDependencyError(
                f"this ffmpeg lacks an encoder or filter: {self._last_lines[-1]}",
                "unset TALKCLI_FFMPEG to use the bundled one",
            )
        if status is not None and status < 0 and not self._killed:
            return self._ended_by(-status)
        for line in self._last_lines:
            if "Permission denied" in line or "Read-only file system" in line:
                return InputError(
                    f"{self._output} cannot be written: {line}", "choose another place with -o"
                )
        if self._last_lines:
            reason = self._last_lines[-1]
        elif self._killed:
            reason = "it did not end, and gave no message"
        else:
            reason = f"it ended with status {status} and no message"
        return TalkcliError(f"ffmpeg failed while writing {self._output.name}: {reason}")

    def _ended_by(self, number: int) -> TalkcliError:
        """The error for an ffmpeg that a signal ended."""
        name = signal.Signals(number).name if number in set(signal.Signals) else "unknown"
        told = f"ffmpeg was killed by signal {number} ({name}) while writing {self._output.name}"
        if number not in _SENT:
            return TalkcliError(told, "run: talkcli doctor, or set TALKCLI_FFMPEG to another")
        often = ", as the system does when memory runs out" if number == signal.SIGKILL else ""
        return InterruptedRunError(
            told + often,
            "run the same command again, with a smaller --size where memory is short",
        )
