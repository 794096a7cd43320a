"""What the service is about: plain data, no I/O."""
