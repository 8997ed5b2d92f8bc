"""The same results as text, JSON and files."""
