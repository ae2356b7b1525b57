"""Training data: public sets, our own texts, and the checks on them.

Files become labelled examples for the detector, or pairs of message and answer for the personas.
Near-duplicates are removed, and a text of an evaluation split stops the run. The room knows no
model and no tokenizer.
"""
