"""The parts of a system as processes on this machine: how each is started, and told to serve."""
