"""Whether this process's vLLM may have its CPU operators replaced: they are read against the sources of one version."""

import os

KNOWN = ("0.32.0",)


def unfit(switch: str) -> str | None:
    """Why this process keeps vLLM's own operators, if it does. `switch` is the environment variable that turns ours off with 0."""
    if os.environ.get(switch) == "0":
        return f"{switch}=0"
    import vllm
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return "this is not a CPU"
    if vllm.__version__.partition("+")[0] not in KNOWN:
        return f"vLLM {vllm.__version__} is not one of {', '.join(KNOWN)}"
    return None
