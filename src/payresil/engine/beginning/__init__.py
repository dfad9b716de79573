"""``payresil init``: a system file and two scenarios to begin with, beside a service."""
