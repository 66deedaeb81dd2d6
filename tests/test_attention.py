"""What the network attends to, against the definition of attention."""

import numpy as np
import torch

from kisslab.attention import watch
from kisslab.train.kiss import new_unet

TOLD = torch.randn(1, 3, 96, 12, 16, generator=torch.Generator().manual_seed(1))
PEOPLE = torch.randn(1, 2, 128, generator=torch.Generator().manual_seed(2))


def network():
    torch.manual_seed(0)
    unet = new_unet().eval()
    torch.nn.init.normal_(unet.conv_out.weight, std=0.02)
    return unet


def call(unet, people=PEOPLE):
    with torch.no_grad():
        return unet(TOLD, torch.zeros(1), people, torch.tensor([[8.0]])).sample


def test_watching_changes_nothing_and_leaves_nothing_behind():
    unet = network()
    plain = call(unet)
    processors = {id(p) for p in unet.attn_processors.values()}
    with watch(unet, 4 / 3) as seen:
        watched = call(unet)
    torch.testing.assert_close(watched, plain)
    assert {id(p) for p in unet.attn_processors.values()} == processors
    assert len(seen) >= 3 and all(s.weights.shape == (3, 3, 4, 2) for s in seen)


def test_weights_are_shares():
    unet = network()
    with watch(unet, 4 / 3) as seen:
        call(unet)
    for attention in seen:
        np.testing.assert_allclose(attention.weights.sum(axis=-1), 1, atol=1e-5)


def test_two_equal_people_get_equal_attention_and_swapped_people_swap_it():
    unet = network()
    with watch(unet, 4 / 3) as seen:
        call(unet, PEOPLE[:, :1].expand(1, 2, 128))
        first = len(seen)
        call(unet)
        call(unet, PEOPLE.flip(1))
    np.testing.assert_allclose(seen[0].weights, 0.5, atol=1e-5)
    one, other = seen[first].weights, seen[2 * first].weights
    assert np.abs(one - 0.5).max() > 1e-3
    np.testing.assert_allclose(one, other[..., ::-1], atol=1e-5)
