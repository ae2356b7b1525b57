"""Responses API of OpenAI: request body, response object and events. Nothing is stored."""
