"""System files that come with payresil: one YAML file a system."""
