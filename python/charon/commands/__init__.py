"""The commands of `charon` by group: their options, and the call that does the work.

Everything heavy is imported by the command that needs it, so that `charon --help` answers at once.
"""
