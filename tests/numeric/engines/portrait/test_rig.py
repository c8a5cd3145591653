"""The deformation kernels against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from talkcli.engines.portrait import rig
from talkcli.engines.portrait.skin import (
    FADE_END,
    FADE_START,
    MovedSplats,
    Pose,
    RestSurface,
    skin_and_shape,
)
from talkcli.face.pose import euler_to_rotation
from talkcli.types import SplatArrays

RNG = np.random.default_rng(7)
N = 300


def f32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)


def splat_arrays(count: int) -> SplatArrays:
    shapes = ((count, 3), (count, 6), (count,), (count, 3))
    return SplatArrays(*(np.zeros(shape, np.float32) for shape in shapes))


def test_blend_vertices_is_the_weighted_sum() -> None:
    vertices = RNG.integers(0, 478, (N, 4)).astype(np.int32)
    weights, moved = f32(RNG.random((N, 4))), f32(RNG.normal(size=(478, 3)))
    out = np.empty((N, 3), np.float32)
    rest, positions = f32(RNG.normal(size=(N, 3))), np.empty((N, 3), np.float32)
    rig.move_with_face(rest, vertices, weights, moved, out, positions)
    np.testing.assert_allclose(out, np.einsum("nk,nkd->nd", weights, moved[vertices]), atol=1e-5)
    np.testing.assert_allclose(positions, rest + out, atol=1e-6)


def test_tangents_of_a_sheared_grid_are_its_new_grid_steps() -> None:
    rows, columns = 6, 8
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)
    rest = f32(np.concatenate([grid, np.zeros((rows, columns, 1))], -1) * 0.1)
    shear = np.array([[1, 0.2, 0], [0, 1.1, 0], [0.3, 0, 1]])
    moved = f32(rest @ shear.T)
    from talkcli.engines.portrait.build.groups import grid_neighbours, grid_tangents

    tangents = [f32(t.reshape(-1, 3)) for t in grid_tangents(rest)]
    out = [np.empty_like(t) for t in tangents]
    shift = f32((moved - rest).reshape(-1, 3))
    neighbours = grid_neighbours(rows, columns)
    rig.shift_tangents(rig.Tangents(*tangents), shift, neighbours, 0.1, rig.Tangents(*out))
    wanted = [t.reshape(-1, 3) for t in grid_tangents(moved)]
    np.testing.assert_allclose(out[0], wanted[0], atol=1e-6)
    np.testing.assert_allclose(out[1], wanted[1], atol=1e-6)


def test_tangents_do_not_grow_beyond_their_limit() -> None:
    tangent = np.tile(f32([[0.1, 0, 0]]), (2, 1))
    shift = f32([[0, 0, 0], [50, 0, 0]])
    neighbours = np.array([[0, 1, 0, 0], [0, 1, 1, 1]], np.int32)
    out = rig.Tangents(np.empty_like(tangent), np.empty_like(tangent))
    rig.shift_tangents(rig.Tangents(tangent, tangent), shift, neighbours, 0.05, out)
    np.testing.assert_allclose(np.linalg.norm(out.u, axis=1), 4 * 0.1 + 0.05, rtol=1e-5)


MOVED = ("positions", "tangent_u", "tangent_v")
PIVOT, SHIFT = f32([0, -5, -5.5]), f32([0.1, 0.2, 0.3])


def inputs(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """Random splats; neck weights as runs of whole heads and as gradients."""
    steps = RNG.integers(0, rig.NECK_STEPS, N)
    steps[N // 3 : 2 * N // 3] = rig.NECK_STEPS - 1
    return {
        "positions": f32(RNG.normal(size=(N, 3)) * 5),
        "tangent_u": f32(RNG.normal(size=(N, 3)) * 0.05),
        "tangent_v": f32(RNG.normal(size=(N, 3)) * 0.05),
        "normals": np.tile(f32([[0, 0, 1]]), (N, 1)),
        "source_cosine": np.zeros(N, np.float32),
        "rest_cosine": np.ones(N, np.float32),
        "opacities": np.full(N, 0.9, np.float32),
        "culled": np.ones(N, np.float32),
        "slope": np.zeros((N, 2), np.float32),
        "spread": np.full(N, 0.4, np.float32),
        "share": f32(steps / (rig.NECK_STEPS - 1)),
    } | changes


def posed(
    rotation: np.ndarray, eye: np.ndarray, focal: float = 100.0, **changes: np.ndarray
) -> dict[str, np.ndarray]:
    arrays = inputs(**changes)
    moved = MovedSplats(*(arrays[name] for name in MOVED))
    rest = RestSurface(**{k: v for k, v in arrays.items() if k not in MOVED})
    out = splat_arrays(N)
    skin_and_shape(rest, moved, Pose(rotation, SHIFT, PIVOT, f32(eye), focal), out, hidden=True)
    return {**arrays, "means": out.means, "covars": out.covars, "visible": out.opacities}


def slowly_posed(
    a: dict[str, np.ndarray], rotation: np.ndarray, eye: np.ndarray, focal: float
) -> dict[str, np.ndarray]:
    """What :func:`skin_and_shape` computes, splat by splat and in double precision."""
    turn = rig.rotation_vector(rotation).astype(float)
    table = rig.neck_rotations(turn).astype(float)
    made: dict[str, list] = {"means": [], "covars": [], "visible": []}
    for i in range(N):
        r = table[round(float(a["share"][i]) * (rig.NECK_STEPS - 1))]
        q = r @ (a["positions"][i] - PIVOT) + a["share"][i] * SHIFT
        toward = eye - (q + PIVOT)
        distance = np.linalg.norm(toward)
        toward = toward / distance
        shape = np.zeros((3, 3))
        for k, name in enumerate(("tangent_u", "tangent_v")):
            t = r @ a[name][i] + a["slope"][i, k] * (np.cross(turn, q) + SHIFT)
            seen = np.linalg.norm(t - toward * (t @ toward)) * focal / distance
            spread = max(a["spread"][i], min(0.6, a["spread"][i] + 0.6 * (seen - 1)))
            shape += spread * np.outer(t, t)
        cosine = (r @ a["normals"][i]) @ toward
        visible = 0.0 if a["culled"][i] and cosine < 0 else float(a["opacities"][i])
        if a["source_cosine"][i] > 0:
            t = (cosine - a["rest_cosine"][i]) / a["source_cosine"][i]
            t = min(max((t - FADE_START) / (FADE_END - FADE_START), 0), 1)
            visible *= 1 - t * t * (3 - 2 * t)
        made["means"].append(q + PIVOT)
        made["covars"].append(shape[[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])
        made["visible"].append(visible)
    return {name: np.array(values) for name, values in made.items()}


def random_surface() -> dict[str, np.ndarray]:
    normals = RNG.normal(size=(N, 3))
    return {
        "normals": f32(normals / np.linalg.norm(normals, axis=1, keepdims=True)),
        "source_cosine": f32(np.where(RNG.random(N) < 0.5, RNG.random(N), 0)),
        "rest_cosine": f32(RNG.uniform(-0.3, 1, N)),
        "opacities": f32(RNG.random(N)),
        "culled": f32(RNG.random(N) < 0.5),
        "slope": f32(RNG.normal(size=(N, 2)) * 0.01),
        "spread": f32(RNG.uniform(0.04, 0.5, N)),
    }


@pytest.mark.parametrize("angles", [(0, 0, 0), (25, -10, 5), (-70, 0, 20)])
def test_the_kernel_does_what_its_slow_twin_does(angles: tuple[float, float, float]) -> None:
    rotation, eye = euler_to_rotation(*angles), np.array([3.0, 2.0, 60.0])
    got = posed(rotation, eye, 900.0, **random_surface())
    wanted = slowly_posed(got, rotation, eye, 900.0)
    np.testing.assert_allclose(got["means"], wanted["means"], atol=2e-5)
    np.testing.assert_allclose(got["covars"], wanted["covars"], atol=1e-6)
    np.testing.assert_allclose(got["visible"], wanted["visible"], atol=1e-4)
    assert 0 < (got["visible"] > 0).sum() < N


def test_threads_and_spans_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_011
    arrays = {k: np.resize(v, (count, *v.shape[1:])) for k, v in inputs(**random_surface()).items()}
    moved = MovedSplats(*(arrays[name] for name in MOVED))
    rest = RestSurface(**{k: v for k, v in arrays.items() if k not in MOVED})
    pose = Pose(euler_to_rotation(20, 5, 0), SHIFT, PIVOT, f32([0, 0, 60]), 900.0)
    results = []
    for threads, spans in ((1, None), (2, None), (3, [(0, 4096), (4096, 8000), (8000, count)])):
        monkeypatch.setattr(rig.runtime, "thread_count", lambda threads=threads: threads)
        out = splat_arrays(count)
        skin_and_shape(rest, moved, pose, out, spans=spans)
        results.append((out.means, out.covars, out.opacities))
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_only_what_can_be_seen_is_shaped() -> None:
    arrays = inputs()
    arrays["normals"][: N // 2] = (0, 0, -1)
    moved = MovedSplats(*(arrays[name] for name in MOVED))
    rest = RestSurface(**{k: v for k, v in arrays.items() if k not in MOVED})
    pose = Pose(np.eye(3), SHIFT, PIVOT, f32([0, 0, 100]), 100.0)
    out = splat_arrays(N)
    out.means[:], out.covars[:] = -7, -7
    skin_and_shape(rest, moved, pose, out)
    hidden = N // 2 // 16 * 16  # where all sixteen of a block are
    assert (out.covars[:hidden] == -7).all() and (out.covars[N // 2 :] != -7).all()
    assert not out.opacities[: N // 2].any() and (out.opacities[N // 2 :] > 0.89).all()
    assert (out.means != -7).all()


def test_skinning_matches_rodrigues_by_weight() -> None:
    rotation = euler_to_rotation(25, -10, 5)
    got = posed(rotation, np.array([0, 0, 100.0]))
    table = rig.neck_rotations(rig.rotation_vector(rotation))
    steps = np.round(got["share"] * (rig.NECK_STEPS - 1)).astype(int)
    share = got["share"][:, None]
    pivot = np.array([0, -5, -5.5])
    turned = np.einsum("nij,nj->ni", table[steps], got["positions"] - pivot)
    np.testing.assert_allclose(got["means"], turned + pivot + share * [0.1, 0.2, 0.3], atol=1e-4)
    u, v = (np.einsum("nij,nj->ni", table[steps], got[f"tangent_{k}"]) for k in "uv")
    matrix = 0.4 * (u[:, :, None] * u[:, None] + v[:, :, None] * v[:, None])
    upper = matrix[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(got["covars"], upper, atol=1e-6)


def test_neck_table_runs_from_nothing_to_the_whole_rotation() -> None:
    rotation = euler_to_rotation(40, 12, -9)
    table = rig.neck_rotations(rig.rotation_vector(rotation))
    np.testing.assert_allclose(table[0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(table[-1], rotation, atol=1e-6)
    half = table[(rig.NECK_STEPS - 1) // 2].astype(float)
    np.testing.assert_allclose(half @ half, rotation, atol=1e-5)
    np.testing.assert_array_equal(rig.neck_rotations(np.zeros(3))[5], np.eye(3))


def test_splats_turned_away_are_hidden_and_badly_seen_ones_give_way() -> None:
    front, back = np.array([0, 0, 100.0]), np.array([0, 0, -100.0])
    assert (posed(np.eye(3), front)["visible"] > 0.89).all()
    assert (posed(np.eye(3), back)["visible"] == 0).all()
    kept = posed(np.eye(3), back, culled=np.zeros(N, np.float32))
    assert (kept["visible"] > 0.89).all()
    # Seen at 80° in the source, now from the front: stretched sixfold, so it gives way.
    poor = np.full(N, 0.17, np.float32)
    assert (posed(np.eye(3), front, source_cosine=poor, rest_cosine=poor)["visible"] == 0).all()
    # At its own angle it is untouched, however flat that is.
    seen = posed(np.eye(3), front, source_cosine=poor)["visible"]
    assert (seen > 0.89).all()


def test_sheared_neck_stretches_tangents_along_the_weight() -> None:
    rotation = euler_to_rotation(40, 0, 0)
    slope = np.tile(f32([[0, -0.02]]), (N, 1))
    flat = posed(rotation, np.array([0, 0, 100.0]), positions=np.tile(f32([[6, -12, 2]]), (N, 1)))
    bent = posed(
        rotation,
        np.array([0, 0, 100.0]),
        positions=np.tile(f32([[6, -12, 2]]), (N, 1)),
        slope=slope,
        share=flat["share"],
        tangent_u=flat["tangent_u"],
        tangent_v=flat["tangent_v"],
    )
    trace = [0, 3, 5]
    assert bent["covars"][:, trace].sum() > flat["covars"][:, trace].sum()
