"""The embedded default: a small hourglass and the rendered people it sees."""
