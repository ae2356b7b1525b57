"""BERT encoder: the hidden states of transformers, padding and types included."""

import torch
from transformers import BertConfig, BertModel

from models.encoder.bert import BertEncoder, EncoderShape


def test_hidden_states_are_those_of_transformers() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    reference = BertModel(config, add_pooling_layer=False).eval()
    for parameter in reference.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    encode = BertEncoder(reference.state_dict(), EncoderShape(2, 2, config.layer_norm_eps))
    ids = torch.tensor([[2, 4, 5, 3], [2, 6, 3, 0]])
    types = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]).bool()
    with torch.inference_mode():
        expected = reference(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        found = encode(ids, types, mask)
    assert expected[mask].std() > 0.05
    assert torch.allclose(found[mask], expected[mask], atol=1e-5)
