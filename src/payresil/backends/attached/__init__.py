"""A system that somebody else runs: what is done to it, and what is left as it was found."""
