"""The version of the SDK and of everything that ships with it; a test compares it with the distribution's own."""

from typing import Final

__version__: Final = "0.1.0"
