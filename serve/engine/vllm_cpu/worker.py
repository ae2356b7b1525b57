"""Extension of vLLM's worker, so that an engine can ask which CPU operators its worker uses.

AsyncEngineArgs(worker_extension_cls=WORKER_EXTENSION)
await llm.collective_rpc("cpu_operator_states")
"""


class OperatorReport:
    """Methods that vLLM adds to its worker class (`worker_extension_cls`)."""

    def cpu_operator_states(self) -> dict[str, str]:
        """Return `plugin.operator_states()` of the worker's process."""
        from serve.engine.vllm_cpu.plugin import operator_states

        return operator_states()


WORKER_EXTENSION = f"{OperatorReport.__module__}.{OperatorReport.__qualname__}"
