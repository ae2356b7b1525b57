"""vllm_cpu."""
