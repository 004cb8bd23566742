"""Training's loss. In the training environment: `python -m pytest --noconftest tests/test_train.py`."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="torch is in the training environment only")


def test_an_unknown_label_adds_no_loss_and_no_gradient() -> None:
    from training.train import UNKNOWN, MaskedLoss

    logits = torch.tensor([[0.0, 5.0]], requires_grad=True)
    loss = MaskedLoss(torch.ones(2))(SimpleNamespace(logits=logits), torch.tensor([[1.0, UNKNOWN]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.693147, abs=1e-5)
    assert logits.grad[0, 1] == 0


def test_a_batch_of_unknown_labels_has_no_loss() -> None:
    from training.train import UNKNOWN, MaskedLoss

    assert MaskedLoss(torch.ones(1))(SimpleNamespace(logits=torch.zeros(1, 1)), torch.tensor([[UNKNOWN]])) == 0


def test_a_rare_category_weighs_more_up_to_the_highest_weight() -> None:
    from training.train import class_weights

    labels = [[1.0, 1.0, 1.0]] + [[0.0, 0.0, 1.0]] * 9 + [[-1.0, 0.0, 1.0]] * 90
    assert class_weights(labels, 5.0).tolist() == pytest.approx([3.0, 5.0, 1.0])
