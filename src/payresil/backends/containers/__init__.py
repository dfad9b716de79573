"""The parts of a system as containers: how each is made, reached, limited and removed."""
