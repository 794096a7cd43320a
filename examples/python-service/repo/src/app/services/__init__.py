"""What can be done with models."""
