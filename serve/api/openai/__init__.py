"""OpenAI's paths: the same pipeline in the shapes that OpenAI's clients expect."""
