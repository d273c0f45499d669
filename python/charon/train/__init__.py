"""Training: configuration, loss, loop, checkpoints, run directory."""

from charon.train.checkpoint import load_run
from charon.train.config import Config
from charon.train.config_file import load_config
from charon.train.run import Outcome, resume, train, train_from_file

__all__ = ["Config", "Outcome", "load_config", "load_run", "resume", "train", "train_from_file"]
