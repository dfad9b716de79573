"""The state machine of payments: pure functions over values.

No I/O, no clock and no randomness: time (Unix seconds) and new ids are passed in. What the
outside calls an object (its JSON, its names, its errors) is the business of a dialect.
"""
