"""Generation of an answer: the persona's voice, its prompt and adapter version, and text chunks.

A `GenerationRequest` comes in, a `Generation` goes out. It does not know of detection or HTTP.
"""
