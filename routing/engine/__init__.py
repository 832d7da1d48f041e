"""The decision engine: pure, deterministic, and knowing nothing of Django, clocks or I/O."""
