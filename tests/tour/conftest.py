"""The README's tour uses the conformance suite's laboratory."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))
from conftest import *  # noqa: E402,F401,F403  (options, session hooks and the lab fixture)
