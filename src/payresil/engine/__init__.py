"""Running a scenario and judging what it left."""
