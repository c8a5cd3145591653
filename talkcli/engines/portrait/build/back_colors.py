"""The colours of the closed head: what is seen of it, its mirror image, and what goes on from both.

Above a hairline it goes on as hair (or as the skin of a bald head), below it as a plain neck.
"""

from __future__ import annotations

import numpy as np

from talkcli.engines.portrait.build.directions import Measured
from talkcli.engines.portrait.build.hair import Crown, continued_crown
from talkcli.engines.portrait.build.images import blur, lowest
from talkcli.engines.portrait.build.neck import Neck, continued_neck, specks
from talkcli.engines.portrait.build.symmetry import blend_colors_with_mirror
from talkcli.imaging import smoothstep

#: Unless the source shows longer hair, it ends at the earlobes and, at the back, at the nape (y in
#: cm), with a slanted line between them from the first to the second azimuth (degrees). What shows
#: below an ear when the chin is raised is neck.
_LOBE_CM, _HAIRLINE_CM, _BEHIND_DEG = -0.5, -4.5, (120.0, 165.0)
#: There, tufts reach down to different depths (standard deviation), and get thin over this length.
_TUFTS_CM, _FADES_CM = 0.35, 1.6
#: Hair seen less well than this gives way to continued hair, over the second length.
_EDGE_ON = (0.1, 0.35)


def below_hair_line(directions: np.ndarray, height: np.ndarray) -> np.ndarray:
    """``[rows, columns]`` 0 where hair grows, 1 on the neck; ``height`` is y of the skull, cm."""
    azimuth = np.degrees(np.abs(np.arctan2(directions[..., 0], directions[..., 2])))
    begin, end = _BEHIND_DEG
    ends = _LOBE_CM + (_HAIRLINE_CM - _LOBE_CM) * smoothstep((azimuth - begin) / (end - begin))
    # The same in every build; mirror-symmetric like the head.
    random = np.random.default_rng(0).standard_normal((2, height.shape[1])).astype(np.float32)
    tufts = sum(
        size * noise / noise.std()
        for size, noise in (
            (_TUFTS_CM, blur(random[:1], 0.008 * height.shape[1])),
            (0.5 * _TUFTS_CM, random[1:]),
        )
    )
    ends = ends + (tufts + tufts[:, ::-1]) / 2
    return smoothstep((ends - height) / _FADES_CM)


def completed_colors(
    known: Measured, crown: Crown, below_hair: np.ndarray, neck: Neck, textured: bool = True
) -> np.ndarray:
    """Mirror what one side shows, and fill the rest with continued hair, or with neck below it.

    Args:
        known: what the source shows in each direction.
        crown: the hair or the skin above the ears.
        below_hair: ``[rows, columns]`` 0 where hair grows, 1 on the neck.
        neck: its colours where it is plain.
        textured: whether continued hair has a texture.
    """
    blended = blend_colors_with_mirror(known.color, known.seen, known.covered, wrap=True)
    both = np.maximum(known.covered, known.covered[:, ::-1])
    low = below_hair[..., None]
    # The visible neck ends raggedly at hair and collars; only its well-seen middle is kept.
    well = blur(lowest(crown.seen, 2), 4.0)
    both = both * (1 - low[..., 0]) + well * low[..., 0]
    both = both * (1 - specks(blended, neck.colors, below_hair))
    unknown = np.maximum(1 - smoothstep((both - 0.35) / 0.3), low[..., 0] * neck.foreign(blended))
    # Strands seen edge-on are drawn out to smears; ears, which are as flat, cannot be made up.
    edge_on = 1 - smoothstep((crown.seen - _EDGE_ON[0]) / _EDGE_ON[1])
    unknown = np.maximum(unknown, edge_on * blur(crown.hair, 2.0) * (1 - below_hair))[..., None]
    wanted = (below_hair < 0.98) & (unknown[..., 0] > 0)
    hair_color = continued_crown(blended, crown, wanted, textured)
    guess = hair_color * (1 - low) + continued_neck(blended, neck, well * below_hair) * low
    return np.asarray(blended * (1 - unknown) + guess * unknown)
