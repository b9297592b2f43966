"""The engine: one step of one lane (step), the only loop (pool), compiled programs and their cache (program)."""
