"""lottery_pipeline: find, train, own and test winning lottery tickets."""

__version__ = "0.1.0"
