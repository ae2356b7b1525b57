"""Text generation: token ids in, text chunks out, with LoRA adapters mixed in one batch.

`protocol` is the interface. `vllm_engine` implements it with vLLM, and `scripted` without weights.
`vllm_cpu` holds faster CPU operators that vLLM loads as a plugin. An engine does not know
personas, prompts or HTTP.
"""
