"""Metrics that need packages or weights of others: each is measured if they are there.

A metric that cannot be measured keeps its row, without a value and with the command that helps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from talkcli.errors import InputError, MissingDependencyError
from talkcli.metrics.crops import Unavailable
from talkcli.metrics.identity import IdentityScores
from talkcli.metrics.lse import LseScores, lse_rows
from talkcli.metrics.pair import PairMetric
from talkcli.metrics.perceptual import FidScores, LpipsScores, StLpipsScores
from talkcli.metrics.result import Metric
from talkcli.weights.store import require_model


def optional_metrics(sound: Path | None) -> list[PairMetric]:
    """Perceptual distances, identity and SyncNet's scores.

    Args:
        sound: file with the sound that the lips should follow; None without one.
    """
    return [
        *(_available(metric, metric.ROWS) for metric in (StLpipsScores, LpipsScores, FidScores)),
        _available(IdentityScores, IdentityScores.ROWS),
        _available(lambda: _lse(sound), tuple(lse_rows(None, ""))),
    ]


def _available(make: Callable[[], PairMetric], rows: tuple[Metric, ...]) -> PairMetric:
    try:
        return make()
    except (MissingDependencyError, InputError) as error:
        return Unavailable(list(rows), str(error))


def _lse(sound: Path | None) -> PairMetric:
    from talkcli.metrics.syncnet import load_syncnet

    if sound is None:
        raise InputError("neither video has sound")
    return LseScores(load_syncnet(require_model("syncnet")), sound)
