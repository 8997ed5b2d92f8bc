"""The command line: one thin module a command, each parses, makes one API call and renders."""

from quantkit.cli.main import main

__all__ = ["main"]
