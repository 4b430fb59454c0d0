"""The loss over tokens and the attention on a CPU are those of torch, forwards and backwards."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from runway.executors.seq2seq.token_loss import PackedHead, rounded, smoothed_cross_entropy


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
