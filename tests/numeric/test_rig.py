"""The deformation kernels against plain numpy."""

from __future__ import annotations

import numpy as np

from talkcli.avatar import rig
from talkcli.tracking.headfit import euler_to_rotation

RNG = np.random.default_rng(7)
N = 300


def f32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)


def test_blend_vertices_is_the_weighted_sum() -> None:
    vertices = RNG.integers(0, 478, (N, 4)).astype(np.int32)
    weights, moved = f32(RNG.random((N, 4))), f32(RNG.normal(size=(478, 3)))
    out = np.empty((N, 3), np.float32)
    rig.blend_vertices(vertices, weights, moved, out)
    np.testing.assert_allclose(out, np.einsum("nk,nkd->nd", weights, moved[vertices]), atol=1e-5)


def test_tangents_of_a_sheared_grid_are_its_new_grid_steps() -> None:
    rows, columns = 6, 8
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1)
    rest = f32(np.concatenate([grid, np.zeros((rows, columns, 1))], -1) * 0.1)
    shear = np.array([[1, 0.2, 0], [0, 1.1, 0], [0.3, 0, 1]])
    moved = f32(rest @ shear.T)
    from talkcli.portrait.splats import grid_neighbours, grid_tangents

    tangents = [f32(t.reshape(-1, 3)) for t in grid_tangents(rest)]
    out = [np.empty_like(t) for t in tangents]
    shift = f32((moved - rest).reshape(-1, 3))
    rig.shift_tangents(*tangents, shift, grid_neighbours(rows, columns), 0.1, *out)
    wanted = [t.reshape(-1, 3) for t in grid_tangents(moved)]
    np.testing.assert_allclose(out[0], wanted[0], atol=1e-6)
    np.testing.assert_allclose(out[1], wanted[1], atol=1e-6)


def test_tangents_do_not_grow_beyond_their_limit() -> None:
    tangent = np.tile(f32([[0.1, 0, 0]]), (2, 1))
    shift = f32([[0, 0, 0], [50, 0, 0]])
    neighbours = np.array([[0, 1, 0, 0], [0, 1, 1, 1]], np.int32)
    out_u, out_v = np.empty_like(tangent), np.empty_like(tangent)
    rig.shift_tangents(tangent, tangent, shift, neighbours, 0.05, out_u, out_v)
    np.testing.assert_allclose(np.linalg.norm(out_u, axis=1), 4 * 0.1 + 0.05, rtol=1e-5)


def posed(rotation: np.ndarray, eye: np.ndarray, **changes: np.ndarray) -> dict[str, np.ndarray]:
    positions = f32(RNG.normal(size=(N, 3)) * 5)
    arrays: dict[str, np.ndarray] = {
        "positions": positions,
        "tangent_u": f32(RNG.normal(size=(N, 3)) * 0.05),
        "tangent_v": f32(RNG.normal(size=(N, 3)) * 0.05),
        "normals": np.tile(f32([[0, 0, 1]]), (N, 1)),
        "seen_cosine": np.zeros(N, np.float32),
        "rest_cosine": np.ones(N, np.float32),
        "opacity": np.full(N, 0.9, np.float32),
        "culled": np.ones(N, bool),
        "step": RNG.integers(0, rig.NECK_STEPS, N).astype(np.uint8),
        "slope": np.zeros((N, 2), np.float32),
        "spread": np.full(N, 0.4, np.float32),
    } | changes
    out = {"means": (N, 3), "covars": (N, 6), "opacities": (N,)}
    result = {name: np.empty(shape, np.float32) for name, shape in out.items()}
    rig.skin_and_shape(
        *arrays.values(),
        rig.neck_rotations(rotation),
        rig.rotation_vector(rotation),
        f32([0, -5, -5.5]),
        f32([0.1, 0.2, 0.3]),
        f32(eye),
        100.0,
        *result.values(),
    )
    return {**arrays, **result}


def test_skinning_matches_rodrigues_by_weight() -> None:
    rotation = euler_to_rotation(25, -10, 5)
    got = posed(rotation, np.array([0, 0, 100.0]))
    table = rig.neck_rotations(rotation)
    share = got["step"][:, None] / (rig.NECK_STEPS - 1)
    pivot = np.array([0, -5, -5.5])
    turned = np.einsum("nij,nj->ni", table[got["step"]], got["positions"] - pivot)
    np.testing.assert_allclose(got["means"], turned + pivot + share * [0.1, 0.2, 0.3], atol=1e-4)
    u, v = (np.einsum("nij,nj->ni", table[got["step"]], got[f"tangent_{k}"]) for k in "uv")
    matrix = 0.4 * (u[:, :, None] * u[:, None] + v[:, :, None] * v[:, None])
    upper = matrix[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(got["covars"], upper, atol=1e-6)


def test_neck_table_runs_from_nothing_to_the_whole_rotation() -> None:
    rotation = euler_to_rotation(40, 12, -9)
    table = rig.neck_rotations(rotation)
    np.testing.assert_allclose(table[0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(table[-1], rotation, atol=1e-6)
    half = table[(rig.NECK_STEPS - 1) // 2].astype(float)
    np.testing.assert_allclose(half @ half, rotation, atol=1e-5)
    np.testing.assert_array_equal(rig.neck_rotations(np.eye(3))[5], np.eye(3))


def test_splats_turned_away_are_hidden_and_badly_seen_ones_give_way() -> None:
    front, back = np.array([0, 0, 100.0]), np.array([0, 0, -100.0])
    assert (posed(np.eye(3), front)["opacities"] > 0.89).all()
    assert (posed(np.eye(3), back)["opacities"] == 0).all()
    kept = posed(np.eye(3), back, culled=np.zeros(N, bool))
    assert (kept["opacities"] > 0.89).all()
    # Seen at 80° in the source, now from the front: stretched sixfold, so it gives way.
    poor = np.full(N, 0.17, np.float32)
    assert (posed(np.eye(3), front, seen_cosine=poor, rest_cosine=poor)["opacities"] == 0).all()
    # At its own angle it is untouched, however flat that is.
    seen = posed(np.eye(3), front, seen_cosine=poor)["opacities"]
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
        step=flat["step"],
        tangent_u=flat["tangent_u"],
        tangent_v=flat["tangent_v"],
    )
    trace = [0, 3, 5]
    assert bent["covars"][:, trace].sum() > flat["covars"][:, trace].sum()
