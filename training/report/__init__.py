"""Describe an evaluation as data, and write it as JSON and as one self-contained HTML page.

A `Report` goes in; findings, plots and tables come out.
This room does not know how the numbers were measured.
"""
