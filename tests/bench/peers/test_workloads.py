"""The peers do the same work: the same steps in the valley, the same losses on the same batches of digits."""

from __future__ import annotations

import numpy as np
import pytest

import gdjax
from bench.peers import digits, digits_jax, valley
from bench.peers.worker import row
from bench.peers.workload import Entry, Workload, relative

torch = pytest.importorskip("torch", reason="PyTorch is a peer: make peers, or pip install torch")
pytest.importorskip("optimistix", reason="optimistix is a peer: make peers, or pip install optimistix")


@pytest.fixture(scope="module")
def descent():
    """The workload of the valley, to 600 steps, and how gdjax ends it."""
    work = valley._workload(512, slow=True, max_steps=600)
    return work, work.ours.run()


@pytest.mark.parametrize("peer", [0, 1, 2, 3])
def test_every_peer_takes_the_same_steps_down_the_valley(peer, descent):
    """To 600 steps: some lanes diverge, some converge, most are on their way."""
    work, ours = descent
    entry = work.peers[peer]
    assert {"diverged", "budget"} <= set(ours.frame().status)
    assert entry.difference() <= (0 if peer < 2 else 1e-3)
    fine = np.asarray(ours.status != gdjax.stopping.DIVERGED)
    np.testing.assert_allclose(entry.losses(entry.run())[fine], ours.final_loss[fine], rtol=2e-2, atol=1e-6)


@pytest.mark.parametrize(("size", "paired"), [(32, True), (1, False)])
def test_on_the_same_batches_every_peer_has_the_same_losses(size, paired, monkeypatch):
    from bench.peers import digits_torch

    monkeypatch.setattr(digits, "PAIRED_STARTS", 3)  # each as long as any
    monkeypatch.setattr(digits, "OWN_STARTS", 24)
    peers = [digits_jax.mapped, digits_jax.single, digits_torch.batched, digits_torch.by_hand, digits_torch.single]
    found = digits.checked(size, paired)
    assert max(digits.disagreement(lambda: found, peer) for peer in peers) < 1e-5


def test_on_the_same_batches_networks_of_convolutions_have_the_same_losses(monkeypatch):
    from bench.peers import convolutions

    monkeypatch.setattr(convolutions, "STARTS", 3)
    found = convolutions.checked(convolutions.job_of())
    peers = [convolutions.mapped, convolutions.batched]
    assert max(convolutions.disagreement(lambda: found, peer) for peer in peers) < 1e-4


def test_other_batches_are_seen(monkeypatch):
    """The check can fail: batches of another seed give other losses."""
    monkeypatch.setattr(digits, "PAIRED_STARTS", 3)
    job, settings = digits.job_of(8, True, digits.CHECKED)
    found = digits.losses(job, digits_jax.mapped(job)())
    assert relative(found, digits.run_ours(job, settings).final_loss) > 1e-3


def test_a_row_says_how_many_times_as_long_and_who_disagrees():
    def entry(name: str, loss: float, difference: float | None = None) -> Entry:
        return Entry(name, lambda: None, lambda _: np.array([loss]), None if difference is None else lambda: difference,
                     goal=2.0)

    work = Workload("work", "words", entry("ours", 0.5), (entry("peer", 0.5, 0.0),))
    samples = {"ours": np.array([1.0, 1.1, 0.9]), "peer": np.array([3.0, 3.0, 3.0])}
    losses = {"ours": 0.5, "peer": 0.5}
    found = row(work, work.peers[0], samples, losses, 1e-6)
    assert found["ratio"] == 3.0 and found["ratio_low"] < 3.0 < found["ratio_high"] and found["trouble"] == ""
    assert "on the same work" in row(work, work.peers[0], samples, losses, 0.01)["trouble"]
    assert "ends elsewhere" in row(work, work.peers[0], samples, losses | {"peer": 0.6}, 1e-6)["trouble"]
