"""Avatars of one picture whose shading and creases follow the expression: the ``mggtalk`` engine.

A residual on the analytic avatar of :mod:`talkcli.engines.portrait`, as in MGGTalk (Gong et al.
2025), linearised: from maps of the source a network predicts, once, offset shapes of the splats,
which a two-layer network of the driven expression mixes in every frame. Without weights the avatar
is the analytic one, bit by bit.
"""
