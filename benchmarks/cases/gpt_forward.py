"""A GPT's forward pass over a whole window, without a cache; PyTorch with its fused attention."""

import numpy as np
import torch
from torch.nn import functional

import tinytorch
from benchmarks.case import Case, assert_same
from tinytorch.models import GPT, GPTConfig

WINDOW = 128
CONFIG = GPTConfig(vocab_size=512, block_size=WINDOW, n_layer=4, n_head=4, n_embd=256)

Weights = dict[str, torch.Tensor]


def uncached() -> Case:
    rng = np.random.default_rng(0)
    model = GPT(CONFIG, rng=rng)
    model.eval()
    weights = {
        name: torch.from_numpy(parameter.numpy().copy())
        for name, parameter in model.named_parameters()
    }
    ids = rng.integers(0, CONFIG.vocab_size, (1, WINDOW))  # (B, T)
    our_ids, peer_ids = tinytorch.Tensor(ids), torch.from_numpy(ids)

    def ours() -> tinytorch.Tensor:
        with tinytorch.no_grad():
            return model(our_ids)  # (B, T, V)

    def peer() -> torch.Tensor:
        with torch.inference_mode():
            return torch_logits(peer_ids, weights)  # (B, T, V)

    assert_same(ours().numpy(), peer().numpy(), "logits", rtol=2e-4)
    return Case("GPT forward, T=128, 4 layers of 256, no cache", 0.75, ours, peer)


def torch_logits(ids: torch.Tensor, weights: Weights) -> torch.Tensor:
    """The same network from PyTorch's fused functions, in as few calls as they allow."""
    x = functional.embedding(ids, weights["token_embedding.weight"])  # (B, T, C)
    x = x + weights["position_embedding.weight"][: ids.shape[1]]
    for layer in range(CONFIG.n_layer):
        x = torch_block(x, weights, f"blocks.{layer}.")
    x = norm(x, weights, "norm")
    return functional.linear(x, weights["head.weight"], weights.get("head.bias"))


def torch_block(x: torch.Tensor, weights: Weights, prefix: str) -> torch.Tensor:
    batch, length, width = x.shape
    h = linear(norm(x, weights, f"{prefix}norm1"), weights, f"{prefix}attention.qkv")  # (B, T, 3C)
    h = h.view(batch, length, 3, CONFIG.n_head, width // CONFIG.n_head)
    q, k, v = h.permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
    h = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    h = h.transpose(1, 2).reshape(batch, length, width)  # (B, T, C)
    x = x + linear(h, weights, f"{prefix}attention.out")
    h = linear(norm(x, weights, f"{prefix}norm2"), weights, f"{prefix}feed_forward.fc1")
    h = functional.gelu(h, approximate="tanh")  # (B, T, 4C)
    return x + linear(h, weights, f"{prefix}feed_forward.fc2")


def linear(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def norm(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    return functional.layer_norm(x, weight.shape, weight, bias)
