"""Reading, writing and checking of labelled structures."""

from charon.data.read import read_structures
from charon.data.sets import fingerprint, labels_present, require_labels
from charon.data.write import write_structures

__all__ = ["fingerprint", "labels_present", "read_structures", "require_labels", "write_structures"]
