"""File formats of the batch job: JSON Lines, CSV and Parquet, read and written byte for byte.

A source yields chunks of rows, and a writer puts them back with the labels added. Compression and
text encoding are handled here too. This package does not know Ray, classifiers or the terminal.
"""
