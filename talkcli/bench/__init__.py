"""How fast is talkcli here? What ``talkcli bench`` measures, and what ``benchmarks/`` builds on."""
