"""Journeys: what one customer does, one file each."""
