"""effreason: how many of a reasoning model's tokens are worth paying for?

Importing the package imports nothing heavy; torch, transformers, trl, boto3 and prefect live behind the modules
that need them.
"""

__version__ = "0.1.0"
