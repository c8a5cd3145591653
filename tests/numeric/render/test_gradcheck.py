"""float64 gradcheck of the hand-written projection: the kernels' own source, run by numpy.

The vector operations that kernels import are replaced by twins over float64 arrays of sixteen
lanes, so that :mod:`talkcli.render.cpu.project` and ``project_backward`` run as plain Python in
double precision. What is differentiated there numerically is then exactly what is compiled.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import talkcli.render.cpu as package
from talkcli.render import reference
from talkcli.render.cpu import layout
from talkcli.types import Gaussians

LANES = 16


def twin_modules() -> dict[str, ModuleType]:
    """Stand-ins for ``jit``, ``simd`` and ``memory``."""
    jit, simd, memory = (ModuleType(f"talkcli.kernels.{n}") for n in ("jit", "simd", "memory"))
    jit.__dict__.update(helper=lambda f: f, kernel=lambda f: f)

    def split_exponent(x: Any) -> Any:
        mantissa, exponent = np.frexp(x)
        return exponent - 1.0, mantissa * 2

    simd.__dict__.update(
        LANES=LANES,
        absolute=np.abs,
        pack=lambda low, high: low + 65536 * high,
        maximum=np.maximum,
        minimum=np.minimum,
        select=np.where,
        splat=lambda x: np.full(LANES, x),
        split_exponent=split_exponent,
        square_root=np.sqrt,
    )

    def store(array: Any, index: int, value: Any) -> None:
        array[index : index + LANES] = value

    def store_columns(array: Any, index: int, columns: Any) -> None:
        rows = np.stack(columns, -1)
        array[index : index + rows.size] = rows.reshape(-1)

    def store_columns_where(array: Any, index: int, columns: Any, condition: Any) -> None:
        store_columns(array, index, [np.where(condition, column, 0) for column in columns])

    memory.__dict__.update(
        load=lambda array, index: array[index : index + LANES].copy(),
        load_columns=lambda a, i, n: tuple(a[i : i + LANES * n].reshape(LANES, n).T.copy()),
        load_transposed=lambda a, i: tuple(a[i : i + LANES * LANES].reshape(LANES, LANES).T),
        column_sums=lambda columns: np.stack(columns).sum(-1),
        store=store,
        store_columns=store_columns,
        store_columns_where=store_columns_where,
        store_transposed=store_columns,
        store_integers=lambda array, index, value: store(array, index, np.trunc(value)),
    )
    return {module.__name__: module for module in (jit, simd, memory)}


@pytest.fixture(scope="module")
def plain() -> Iterator[dict[str, ModuleType]]:
    """The two projection modules as plain Python over float64."""
    names = ("project", "project_backward")
    replaced = twin_modules()
    saved = {name: sys.modules.get(name) for name in (*replaced, *map(full_name, names))}
    sys.modules.update(replaced)
    loaded = {}
    try:
        for name in names:
            path = Path(package.__file__).with_name(f"{name}.py")
            spec = importlib.util.spec_from_file_location(full_name(name), path)
            assert spec is not None and spec.loader is not None
            loaded[name] = importlib.util.module_from_spec(spec)
            sys.modules[full_name(name)] = loaded[name]
            spec.loader.exec_module(loaded[name])
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    yield loaded


def full_name(name: str) -> str:
    return f"talkcli.render.cpu.{name}"


def random_splats(covars: bool) -> list[torch.Tensor]:
    """Sixteen splats, some so far aside that the projection's slopes are clamped."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    means = normal(LANES, 3) * torch.tensor([3.0, 2.0, 0.5], dtype=torch.float64)
    quats, scales = normal(LANES, 4) * 1.7, torch.exp(0.5 * normal(LANES, 3) - 1)
    if not covars:
        return [means, quats, scales]
    axes = normal(LANES, 3, 3)
    full = axes @ axes.transpose(1, 2)
    return [means, torch.stack([full[:, i, j] for i in range(3) for j in range(i, 3)], -1)]


def pack(view: np.ndarray, antialiased: bool) -> np.ndarray:
    """A camera whose frame ends among the splats, as kernels take it, in float64."""
    camera = np.zeros(layout.CAMERA)
    camera[:12] = view.reshape(-1)
    camera[12:16] = 40.0, 38.0, 20.5, 15.0
    camera[16:20] = -0.7, 0.6, -0.5, 0.6
    camera[20:24] = 0.3, 0.01, 2, 2
    camera[layout.ANTIALIASED] = antialiased
    return camera


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("covars", [False, True], ids=["quats", "covars"])
def test_projection_passes_gradcheck(
    plain: dict[str, ModuleType], covars: bool, antialiased: bool
) -> None:
    project, project_backward = plain["project"], plain["project_backward"]
    nothing = np.zeros(0)
    colors = np.full(LANES * 3, 0.5)
    rects = np.tile(np.array([0, 0, 1, 1], np.int16), LANES)

    def arrays(shape: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        opacities, means, *rest = (a.reshape(-1) for a in shape)
        quats, scales, upper = (nothing, nothing, rest[0]) if covars else (*rest, nothing)
        return means, quats, scales, upper, opacities, colors

    class Project(torch.autograd.Function):
        """Centre, conic (A, B, C), depth and logarithm of the opacity of each splat."""

        @staticmethod
        def forward(ctx: Any, view: torch.Tensor, *shape: torch.Tensor) -> torch.Tensor:
            ctx.inputs = (
                pack(view.detach().numpy(), antialiased),
                [s.detach().numpy() for s in shape],
            )
            camera, values = ctx.inputs
            ctx.records = np.zeros(LANES * layout.RECORD)
            outputs = (ctx.records, np.zeros(LANES), np.zeros(LANES * 4, np.int16))
            counts, corners = np.zeros(4, np.int32), np.zeros(64, np.int32)
            project.project(arrays(values), camera, (0, LANES), 0, outputs, counts, corners)
            fields = torch.from_numpy(ctx.records.reshape(LANES, layout.RECORD))
            wanted = [layout.U, layout.V, layout.A, layout.B, layout.C, layout.DEPTH, layout.LEVEL]
            return fields[:, wanted] * torch.tensor([1.0, 1.0, 16.0, 8.0, 16.0, 1.0, -8.0])

        @staticmethod
        def backward(ctx: Any, to_fields: torch.Tensor) -> tuple[torch.Tensor, ...]:
            camera, values = ctx.inputs
            g = to_fields.numpy()
            fields = ctx.records.reshape(LANES, layout.RECORD)
            a, b, c = 16 * fields[:, layout.A], 8 * fields[:, layout.B], 16 * fields[:, layout.C]
            # The moments whose gradients these are: du = a·sx + b·sy, dA = -sxx / 2, ...
            det = a * c - b * b
            slots = np.zeros((LANES, layout.GRADIENTS))
            slots[:, 1] = (c * g[:, 0] - b * g[:, 1]) / det
            slots[:, 2] = (a * g[:, 1] - b * g[:, 0]) / det
            slots[:, 3], slots[:, 4], slots[:, 5] = -2 * g[:, 2], -g[:, 3], -2 * g[:, 4]
            slots[:, 9], slots[:, 0] = g[:, 5], g[:, 6]
            numbers = np.zeros(LANES * layout.RECORD, np.int32)
            numbers[layout.SLOT :: layout.RECORD] = np.arange(LANES)
            projected = (ctx.records, rects, numbers)
            outputs = [np.zeros(array.size) for array in arrays(values)]
            camera_sums = np.zeros((1, LANES))
            project_backward.project_backward(
                arrays(values), camera, (0, LANES), 0, projected, slots.reshape(-1),
                (outputs, camera_sums), np.zeros(512),
            )  # fmt: skip
            shapes = [outputs[4], outputs[0], *([outputs[3]] if covars else outputs[1:3])]
            to_view = torch.from_numpy(camera_sums[0, :12].reshape(3, 4))
            to_shape = (
                torch.from_numpy(out.reshape(value.shape))
                for out, value in zip(shapes, values, strict=True)
            )
            return to_view, *to_shape

    angle = torch.tensor(0.4, dtype=torch.float64)
    view = torch.eye(4, dtype=torch.float64)[:3]
    view[0, 0] = view[2, 2] = torch.cos(angle)
    view[0, 2], view[2, 0], view[2, 3] = torch.sin(angle), -torch.sin(angle), 6.0
    opacities = torch.linspace(0.2, 0.9, LANES, dtype=torch.float64)
    inputs = [view, opacities, *random_splats(covars)]
    slopes = inputs[2] @ view[:, :3].T + view[:, 3]
    assert ((slopes[:, 0] / slopes[:, 2]).abs() > 0.7).any(), "no clamped slope is tested"
    assert torch.autograd.gradcheck(
        Project.apply, [value.clone().requires_grad_() for value in inputs], eps=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("covars", [False, True], ids=["quats", "covars"])
def test_reference_projection_passes_gradcheck(covars: bool) -> None:
    """Autograd goes through ``where`` and a square root, both of which can hide a NaN."""
    view = torch.eye(4, dtype=torch.float64)
    view[2, 3] = 6.0
    K = torch.tensor([[40.0, 0, 20.5], [0, 38.0, 15.0], [0, 0, 1]], dtype=torch.float64)
    means, *shape = random_splats(covars)
    # One behind the camera, one without any area.
    means[0, 2] = -9.0
    for value in shape[-1:]:
        value[1] = 0.0

    def projected(view: torch.Tensor, means: torch.Tensor, *shape: torch.Tensor) -> Any:
        fields = {"covars": shape[0]} if covars else {"quats": shape[0], "scales": shape[1]}
        gaussians = Gaussians(means, torch.ones(LANES), torch.ones(LANES, 3), **fields)
        splats = reference.project(
            means, reference.world_covariances(gaussians), view, K, (41, 30), 0.3
        )
        kept = splats.visible & (torch.arange(LANES) != 1)
        whole = [splats.centers, splats.conics, splats.depths[:, None]]
        return torch.cat(
            [torch.cat(whole, -1)[splats.visible].reshape(-1), splats.compensations[kept]]
        )

    # The splat without an area bends sharply: steps of 1e-6 would miss its slope by 1e-5.
    inputs = [value.clone().requires_grad_() for value in (view, means, *shape)]
    assert torch.autograd.gradcheck(projected, inputs, eps=1e-7, atol=1e-6)
