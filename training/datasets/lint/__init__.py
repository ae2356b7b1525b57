"""Linter of the persona pairs.

Lines of both sets go in, findings come out. The shipped data have no finding, and there is no list
of exceptions: if a rule and a line disagree, the line is rewritten or the rule is corrected.
"""
