"""Processes that train one model together: the only place that knows torch.distributed.

    torchrun --nproc-per-node 4 -m talkcli train splat-portrait ...

Every process computes the gradients of its share of each batch; their means are what all of them
step by, so that the curve is that of one process with the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed

from talkcli.optim.loop import Alone, Team


class Processes:
    """The team of all processes of a group that has been joined.

    Attributes:
        leads: whether this is the first of them.
        rank: number of this process.
        size: how many they are.
    """

    def __init__(self) -> None:
        self.rank = torch.distributed.get_rank()
        self.size = torch.distributed.get_world_size()
        self.leads = self.rank == 0

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """See :class:`talkcli.optim.loop.Team`; one message for all tensors."""
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, parts, strict=True):
            tensor.copy_(mean.reshape(tensor.shape))

    def agree(self, value: bool) -> bool:
        """See :class:`talkcli.optim.loop.Team`."""
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        told = torch.tensor([float(value)], device=device)
        torch.distributed.broadcast(told, 0)
        return bool(told.item())


def share_of(count: int, team: Team) -> range:
    """Which of ``count`` samples this process computes: every ``size``-th."""
    if isinstance(team, Processes):
        return range(team.rank, count, team.size)
    return range(count)


@contextmanager
def joined_team() -> Iterator[Team]:
    """The processes that torchrun started, for the time of the block; alone without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield Alone()
        return
    on_cuda = torch.cuda.is_available()
    if on_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield Processes()
    finally:
        torch.distributed.destroy_process_group()
