"""`python -m train.NAME` for short: the programs of `awr_mjx.train`. Nothing is imported from here."""

from awr_mjx.train import __path__ as __path__
