"""Attention in bfloat16 on a CPU gives what transformers' own gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from runway.executors.seq2seq.cpu_attention import LONGEST_PLAIN, NAME, attend, use_fast_attention
from tests.executors.tiny_translation import MARIAN, T5


class Layer(torch.nn.Module):
    is_causal = True


@pytest.mark.parametrize("length", [5, LONGEST_PLAIN + 8])
@pytest.mark.parametrize("mask", ["causal", "boolean", "added", None])
def test_attention_in_bf16_on_a_cpu(length, mask):
    torch.manual_seed(0)
    halves = [torch.randn(2, 2, length, 4).bfloat16().requires_grad_() for _ in range(3)]
    wholes = [half.detach().float().requires_grad_() for half in halves]
    given = None
    if mask in ("boolean", "added"):
        given = torch.rand(2, 1, length, length) > 0.3
        given[..., 0] = True
    of_theirs = given
    if mask == "added":
        given = torch.zeros(given.shape).masked_fill(~given, torch.finfo(torch.bfloat16).min).bfloat16()
    ours, _ = attend(Layer(), *halves, given, is_causal=mask == "causal")
    theirs = F.scaled_dot_product_attention(*wholes, attn_mask=of_theirs, is_causal=mask == "causal").transpose(1, 2)
    assert torch.allclose(ours.float(), theirs, atol=3e-2)
    ours.float().square().sum().backward()
    theirs.square().sum().backward()
    for half, whole in zip(halves, wholes, strict=True):
        assert torch.allclose(half.grad.float(), whole.grad, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("length", [5, LONGEST_PLAIN + 8])
@pytest.mark.parametrize("architecture", [T5, MARIAN], ids=["t5", "marian"])
def test_a_whole_model_in_bf16_trains_as_transformers_own_attention_does(architecture, length):
    settings = {**architecture, "vocab_size": 30, "pad_token_id": 0, "decoder_start_token_id": 0}
    settings["max_position_embeddings"] = 256
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(**settings))
    ids = torch.randint(3, 30, (2, length))
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0

    def gradients(attention, half):
        model.set_attn_implementation(attention)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            model(input_ids=ids, attention_mask=mask, labels=ids).loss.backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.requires_grad}

    exact = gradients("eager", half=False)
    model.set_attn_implementation("sdpa")
    use_fast_attention(model)
    found = gradients(NAME, half=True)
    largest = max(gradient.norm() for gradient in exact.values())  # some, as that of a key's bias, are nought
    for name, gradient in exact.items():
        assert (found[name].float() - gradient).norm() <= 0.1 * gradient.norm() + 1e-3 * largest, name
