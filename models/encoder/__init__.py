"""BERT encoder for inference, and its weights in 8-bit rows.

Token ids come in; hidden states go out. The room knows no head, no label and no artifact.
"""
