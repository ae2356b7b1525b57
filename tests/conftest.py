"""Ray decides when it is first imported whether it listens on loopback alone, as the server's does; both sides must agree."""

import os

os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
