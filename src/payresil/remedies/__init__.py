"""Remedies: what an operator would do, by paths an operator has. One file each."""
