"""What is served: emotions, personas, prompt format, base weights, and the trained artefacts that ship.

The half of the project that `serve` and `training` share, and all that they share. Importing it loads neither torch nor ray nor vllm.
"""
