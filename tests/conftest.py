"""Environment of all tests: Ray reads at its first import whether it listens on loopback only."""

import os

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
