"""The avatar of one picture: analytic geometry, posed splat by splat."""
