"""Measure what intensity does to the answers of the personas.

Held-out messages and adapters go in; shares of answers by intensity, with intervals, come out as a
page and a plot. The weights of each intensity are those that serving makes.
"""
