"""What loading has freed goes back to the system: glibc keeps it for the process, 0.3 GiB after one Gemma tokenizer is read."""

import ctypes
import gc


def trim_heap() -> None:
    """To be called when a model is loaded. Does nothing where the C library has no `malloc_trim`."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
