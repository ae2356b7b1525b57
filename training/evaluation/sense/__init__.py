"""Measure if answers make sense for their messages: selection, formula, reference arms.

The judge of emotion reads the answer alone and cannot tell. Here a sentence encoder that nothing
else uses, and nothing is tuned to, must find the message of an answer and the answer of a message.
"""
