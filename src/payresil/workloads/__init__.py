"""Customers: journeys, the load generator and the prober, each in a process of its own."""
