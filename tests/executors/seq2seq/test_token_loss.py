"""The loss over tokens and the attention on a CPU are those of torch, forwards and backwards."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from runway.executors.seq2seq.cpu_attention import LONGEST_PLAIN, NAME, attend, use_fast_attention
from runway.executors.seq2seq.token_loss import PackedHead, rounded, smoothed_cross_entropy
from tests.executors.tiny_translation import MARIAN, T5


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_and_its_gradient(smoothing):
    torch.manual_seed(0)
    logits = torch.randn(7, 11, dtype=torch.float32, requires_grad=True)
    twin = logits.detach().clone().requires_grad_()
    targets = torch.tensor([0, 10, 3, 3, 5, 1, 0])
    ours = smoothed_cross_entropy(logits, targets, smoothing)
    theirs = F.cross_entropy(twin, targets, label_smoothing=smoothing)
    (ours * 0.5).backward()
    (theirs * 0.5).backward()
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)
    assert torch.allclose(logits.grad, twin.grad, atol=1e-7)


def test_rows_beyond_the_targets_have_no_part():
    torch.manual_seed(0)
    logits = torch.randn(8, 5, requires_grad=True)
    twin = logits.detach().clone().requires_grad_()
    targets = torch.tensor([4, 0, 2])
    smoothed_cross_entropy(logits, targets, 0.1).backward()
    F.cross_entropy(twin[:3], targets, label_smoothing=0.1).backward()
    assert torch.allclose(logits.grad, twin.grad, atol=1e-7)
    assert not logits.grad[3:].any()
    assert rounded(torch.tensor([3, 5, 9]), 4).tolist() == [3, 5, 9, 3]
    assert rounded(torch.tensor([3, 5]), 2).tolist() == [3, 5]
    assert len(rounded(torch.tensor([], dtype=torch.long))) == 0


def test_the_gradient_has_the_type_of_the_logits():
    logits = torch.randn(4, 6).bfloat16().requires_grad_()
    smoothed_cross_entropy(logits, torch.tensor([0, 1, 2, 3]), 0.1).backward()
    assert logits.grad.dtype == torch.bfloat16
    assert torch.isfinite(logits.grad).all()


def test_a_head_that_is_no_linear_layer_is_left_alone():
    class Tied(torch.nn.Module):
        """As FSMT is: what projects onto the vocabulary is the embedding."""

        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(9, 4)

        def get_output_embeddings(self):
            return self.embedding

        def forward(self, input_ids):
            return SimpleNamespace(logits=self.embedding(input_ids) @ self.embedding.weight.T)

    model, ids = Tied(), torch.tensor([[1, 2], [3, 4]])
    found = PackedHead(model).logits(model, torch.tensor([0, 3]), input_ids=ids)
    assert torch.equal(found, model(ids).logits.flatten(0, 1)[[0, 3]])


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
