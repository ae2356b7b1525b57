"""Batch job: labels whole files without a server.

A source reads a file in chunks of rows. Ray Data classifies the texts of each chunk, and a writer
puts the rows back in their order, with the labels added and every other byte unchanged. The room
knows the detector by its protocol; it does not know HTTP, Ray Serve or the terminal.
"""
