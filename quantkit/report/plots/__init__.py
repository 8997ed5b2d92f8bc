"""What has been measured, as PNG: one picture a file."""
