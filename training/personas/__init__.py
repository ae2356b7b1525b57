"""Training of the persona adapters: LoRA on a causal language model.

Persona pairs become rows of token ids, rows become a shared adapter and then one adapter per
persona, each with its manifest. The room knows neither the evaluation nor how jobs are scheduled.
"""
