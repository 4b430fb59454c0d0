"""The loss over tokens and the attention on a CPU are those of torch, forwards and backwards."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from runway.executors.attention import LONGEST_PLAIN, attend
from runway.executors.token_loss import rounded, smoothed_cross_entropy


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
