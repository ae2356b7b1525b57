"""Processes of `serve run`: none is left behind, and one server has one port."""
