"""Metrics that need packages or weights of others: each is measured if they are there.

A metric that cannot be measured keeps its row, without a value and with the command that helps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from talkcli.errors import InputError, MissingDependencyError
from talkcli.metrics.crops import FID, LPIPS, ST_LPIPS, Unavailable
from talkcli.metrics.identity import IDENTITY, IdentityScores
from talkcli.metrics.lse import LseScores, lse_rows
from talkcli.metrics.pair import PairMetric
from talkcli.metrics.result import Metric
from talkcli.weights.store import require_model


def optional_metrics(sound: Path | None) -> list[PairMetric]:
    """Perceptual distances, identity and SyncNet's scores.

    Args:
        sound: file with the sound that the lips should follow; None without one.
    """
    return [
        _available(lambda: _perceptual("StLpipsScores"), ST_LPIPS),
        _available(lambda: _perceptual("LpipsScores"), LPIPS),
        _available(lambda: _perceptual("FidScores"), FID),
        _available(IdentityScores, IDENTITY),
        _available(lambda: _lse(sound), *lse_rows(None, "")),
    ]


def _available(make: Callable[[], PairMetric], *rows: Metric) -> PairMetric:
    try:
        return make()
    except (MissingDependencyError, InputError) as error:
        return Unavailable(list(rows), str(error))
    except ImportError as error:
        return Unavailable(list(rows), f"{error}; run: pip install 'talkcli[perceptual]'")


def _perceptual(name: str) -> PairMetric:
    # Needs torch, which the smallest set of packages leaves out.
    from talkcli.metrics import perceptual

    made: PairMetric = getattr(perceptual, name)()
    return made


def _lse(sound: Path | None) -> PairMetric:
    if sound is None:
        raise InputError("neither video has sound")
    weights = require_model("syncnet")
    from talkcli.metrics.syncnet import load_syncnet

    return LseScores(load_syncnet(weights), sound)
