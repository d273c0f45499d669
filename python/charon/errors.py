"""The errors that a user can mend; the command line prints them without a traceback."""


class CharonError(ValueError):
    """Base of every error caused by input: data, state, configuration or model file."""


class DataError(CharonError):
    """A frame, a label or a file of structures is not what it must be."""


class StateError(DataError):
    """Total charge or spin multiplicity is missing, contradictory or impossible."""


class ConfigError(CharonError):
    """A configuration has an unknown key or a value out of range."""


class ModelFileError(CharonError):
    """A model file is no model, truncated, or of another format."""
