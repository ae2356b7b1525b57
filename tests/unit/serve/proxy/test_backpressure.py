"""What a proxy believes of the places of an ingress."""

import pytest

from serve.errors import Overloaded
from serve.proxy.backpressure import BELIEVED_S, Places

ANSWER, TEXTS = "/v1/respond", "/v1/detect"


def test_an_ingress_that_was_full_is_believed_for_a_while() -> None:
    now_s = 100.0
    places = Places(lambda: now_s)
    places.look(ANSWER)
    places.note(ANSWER, Overloaded("full", 7))
    now_s += BELIEVED_S * 0.9
    with pytest.raises(Overloaded) as refused:
        places.look(ANSWER)
    assert refused.value.retry_after_s == 7
    places.note(TEXTS, Overloaded("full", 9))
    places.note(TEXTS, None)  # says nothing of answers
    with pytest.raises(Overloaded, match="Retry-After"):
        places.look("/v1/chat/completions")
    places.look(TEXTS)
    now_s += BELIEVED_S * 0.2
    places.look(ANSWER)
