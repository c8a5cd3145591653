"""The avatar made from one picture: analytic geometry, posed splat by splat."""
