"""Synthetic speech with exact phoneme timings, from the espeak-ng library.

Used in training only. espeak-ng is a separate program under the GPL that the user installs; only
numbers derived from its sound go into the weights.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from talkcli.errors import MissingDependencyError
from talkcli.speech.features import FRAME_RATE, SAMPLE_RATE
from talkcli.train.speech.sentences import (
    HELD_OUT_LANGUAGES,
    HELD_OUT_VOICES,
    SENTENCES,
    VOICES,
    invented_words,
)

#: What the lips do in a phoneme, each 0–1: the columns of ``Utterance.targets``.
TARGETS = ("closed", "labiodental", "round", "open", "spread", "dental", "vowel", "hiss", "stop",
           "silent")  # fmt: skip
CLOSED, LABIODENTAL, ROUND, OPEN, SPREAD, SILENT = 0, 1, 2, 3, 4, 9

_LIBRARIES = ("libespeak-ng.so.1", "libespeak-ng.so", "libespeak-ng.1.dylib", "libespeak-ng.dll")
_SYNCHRONOUS, _PHONEME_EVENTS, _IPA, _NO_EXIT = 2, 1, 2, 0x8000
_UTF8, _EVENT_PHONEME, _RATE, _PITCH, _RANGE = 1, 7, 1, 3, 4
_BEFORE_S, _AFTER_S = 0.4, 0.4  # silence around an utterance

# Openness, rounding and spreading of the lips by IPA symbol, after articulatory phonetics.
_OPENNESS = {
    "a": 1.0, "ɑ": 1.0, "æ": 0.95, "ɐ": 0.8, "ʌ": 0.75, "ɒ": 0.85, "ɔ": 0.65, "ɛ": 0.65,
    "ɜ": 0.5, "e": 0.5, "ø": 0.4, "œ": 0.55, "o": 0.45, "ə": 0.4, "ɚ": 0.4, "ɪ": 0.35, "i": 0.25,
    "ɨ": 0.28, "y": 0.2, "ʏ": 0.25, "u": 0.22, "ʊ": 0.3, "ɯ": 0.3, "ɤ": 0.45, "ɵ": 0.4,
}  # fmt: skip
_ROUNDING = {
    "ɒ": 0.4, "ɔ": 0.7, "ø": 0.8, "œ": 0.7, "o": 0.85, "y": 1.0, "ʏ": 0.9, "u": 1.0, "ʊ": 0.8,
    "w": 1.0, "ɥ": 1.0, "ʃ": 0.6, "ʒ": 0.6, "ɹ": 0.5, "ɵ": 0.7, "ɕ": 0.3,
}  # fmt: skip
_SPREADING = {"i": 1.0, "e": 0.7, "ɪ": 0.6, "ɛ": 0.5, "æ": 0.5, "j": 0.7, "s": 0.6, "z": 0.6}
_CLOSED, _LABIODENTAL, _DENTAL = "pbmɸβ", "fvʋɱ", "θð"
_HISS, _STOP = "szʃʒʂʐɕʑçxfvθðhɸβχ", "ptkbdgɡcɟqʔ"
_OTHER = "nlrɾʁɲŋɫɬʀʎɻɣɦ"
_CONSONANT_OPENNESS = 0.2


@dataclass(frozen=True)
class Utterance:
    """Synthetic speech.

    Attributes:
        voice: espeak-ng voice: language, ``+`` and variant.
        pcm: ``[n]`` float32, 16 kHz.
        targets: ``[F, 10]`` float32 at 100 frames per second, see ``TARGETS``; smoothed over
            35 ms, since lips move smoothly.
    """

    voice: str
    pcm: np.ndarray
    targets: np.ndarray


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Espeak:
    """The library, started once per process (it keeps its state in globals)."""

    def __init__(self) -> None:
        self._library = _open_library()
        options = _PHONEME_EVENTS | _IPA | _NO_EXIT
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, options)
        if self.rate <= 0:
            raise MissingDependencyError("espeak-ng finds no voices", "install espeak-ng-data")
        self._samples: list[np.ndarray] = []
        self._events: list[tuple[float, str]] = []
        # The library keeps a bare pointer: the object must outlive its use.
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(
        self, text: str, voice: str, words_per_minute: int, pitch: int, pitch_range: int
    ) -> tuple[np.ndarray, list[tuple[float, str]]]:
        """Samples ``[n]`` at ``rate`` and ``(start in seconds, IPA)`` of every phoneme."""
        self._samples, self._events = [], []
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise MissingDependencyError(
                f"espeak-ng has no voice {voice}", "install a complete espeak-ng-data"
            )
        for key, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, pitch_range)):
            library.espeak_SetParameter(key, value, 0)
        encoded = text.encode() + b"\0"
        library.espeak_Synth(encoded, len(encoded), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        return np.concatenate([np.zeros(0, np.float32), *self._samples]), self._events

    def _receive(self, wav, count, events) -> int:  # type: ignore[no-untyped-def]
        if count > 0:
            block = np.ctypeslib.as_array(wav, (count,)).astype(np.float32) / 32768.0
            self._samples.append(block)
        index = 0
        while events[index].type != 0:
            if events[index].type == _EVENT_PHONEME:
                name = events[index].id.text.decode("utf-8", "ignore")
                if not name.startswith("("):  # "(en)" marks a change of language, not a sound
                    self._events.append((events[index].audio_position / 1000.0, name))
            index += 1
        return 0


def _open_library() -> ctypes.CDLL:
    found = ctypes.util.find_library("espeak-ng")
    for name in (*((found,) if found else ()), *_LIBRARIES):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise MissingDependencyError(
        "training needs the espeak-ng library for phoneme timings, and it is not installed",
        "run: apt-get install espeak-ng",
    )


@lru_cache(maxsize=1)
def _espeak() -> _Espeak:
    return _Espeak()


def check_espeak() -> None:
    """Check for espeak-ng before any long work.

    Raises:
        MissingDependencyError: it is not installed.
    """
    _espeak()


def speak(text: str, voice: str, rng: np.random.Generator) -> Utterance:
    """Synthesise one text at a random speed and pitch.

    Raises:
        MissingDependencyError: espeak-ng or this voice is not installed.
    """
    engine = _espeak()
    pcm, events = engine.speak(
        text, voice, int(rng.integers(120, 240)), int(rng.integers(15, 90)),
        int(rng.integers(20, 80)),
    )  # fmt: skip
    from scipy.signal import resample_poly

    pcm = resample_poly(pcm, SAMPLE_RATE // 50, engine.rate // 50).astype(np.float32)
    before, after = int(_BEFORE_S * SAMPLE_RATE), int(_AFTER_S * SAMPLE_RATE)
    pcm = np.concatenate([np.zeros(before, np.float32), pcm, np.zeros(after, np.float32)])
    starts = [(start + _BEFORE_S, name) for start, name in events]
    return Utterance(voice, pcm, _targets(starts, len(pcm) // 160 + 1))


def utterances(count: int, seed: int, held_out: bool = False) -> list[Utterance]:
    """Sentences and invented words in many voices.

    Args:
        count: number of utterances.
        seed: of every choice.
        held_out: use the languages and voices that are kept out of training.
    """
    rng = np.random.default_rng(seed)
    languages = [name for name in SENTENCES if (name in HELD_OUT_LANGUAGES) == held_out]
    variants = HELD_OUT_VOICES if held_out else VOICES
    made = []
    for _ in range(count):
        language = str(rng.choice(languages))
        variant = str(rng.choice(variants))
        texts: Sequence[str] = SENTENCES[language]
        text = str(rng.choice(texts)) if rng.random() < 0.5 else invented_words(rng)
        made.append(speak(text, f"{language}+{variant}" if variant else language, rng))
    return made


def _targets(events: Sequence[tuple[float, str]], frames: int) -> np.ndarray:
    rows = np.zeros((frames, len(TARGETS)))
    rows[:, SILENT] = 1.0
    bounds = [round(start * FRAME_RATE) for start, _ in events] + [frames]
    for (_, name), begin, end in zip(events, bounds[:-1], bounds[1:], strict=True):
        rows[begin:end] = phoneme_row(name)
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 3.5) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(rows, ((12, 12), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 25, axis=0)
    return (windows @ kernel).astype(np.float32)


def phoneme_row(name: str) -> np.ndarray:
    """``[10]`` targets of one phoneme in espeak-ng's IPA, see ``TARGETS``; silent for pauses."""
    row = np.zeros(len(TARGETS))
    # Decomposed, so that diacritics do not hide the letter.
    letters = unicodedata.normalize("NFD", name)
    known = [c for c in letters if c in _OPENNESS or c in _ROUNDING or c in _SPREADING
             or c in _CLOSED + _LABIODENTAL + _DENTAL + _HISS + _STOP + _OTHER]  # fmt: skip
    if not known:
        row[SILENT] = 1.0 if name in ("", "_") or name.startswith("_") else 0.0
        row[OPEN] = 0.0 if row[SILENT] else _CONSONANT_OPENNESS
        return row
    vowels = [c for c in known if c in _OPENNESS]
    row[ROUND] = max(_ROUNDING.get(c, 0.0) for c in known)
    row[SPREAD] = np.mean([_SPREADING.get(c, 0.0) for c in known])
    if vowels:
        row[OPEN] = np.mean([_OPENNESS[c] for c in vowels])
        row[6] = 1.0
        return row
    first = known[0]
    row[CLOSED] = first in _CLOSED
    row[LABIODENTAL] = first in _LABIODENTAL
    row[OPEN] = 0.0 if first in _CLOSED else 0.05 if first in _LABIODENTAL else _CONSONANT_OPENNESS
    row[5], row[7], row[8] = first in _DENTAL, first in _HISS, first in _STOP
    return row
