"""Train and measure the critic, which scores if an answer makes sense for its message.

    plain pairs, and the same with wrong answers -> rows -> cross-encoder -> artefact
    answers that readers marked -----------------^

This room does not know how answers are generated, or who marked them.
"""
