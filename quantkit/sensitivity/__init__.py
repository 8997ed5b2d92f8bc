"""Which layer costs the accuracy."""
