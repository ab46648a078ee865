import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.concat_cache import ConcatCache
from tinytorch import Tensor
from tinytorch.data import python_docs
from tinytorch.models import GPT, GPTConfig, generate
from tinytorch.models.generation import next_tokens
from tinytorch.zoo import load

SMALL = GPTConfig(vocab_size=11, block_size=12, n_layer=2, n_head=2, n_embd=8)


def small_gpt(seed: int = 0) -> GPT:
    model = GPT(SMALL, np.random.default_rng(seed))
    for parameter in model.parameters():
        parameter.data *= 8
    return model


def cache() -> list[ConcatCache]:
    return [ConcatCache() for _ in range(SMALL.n_layer)]


def test_greedy_is_the_best_token_of_the_whole_context_each_time() -> None:
    model = small_gpt().eval()
    expected = [1, 2, 3]
    for _ in range(9):
        expected.append(int(model(np.array([expected])).data[0, -1].argmax()))
    assert generate(model, [1, 2, 3], 9).tolist() == expected


def test_without_a_cache_the_context_is_cropped() -> None:
    model = small_gpt().eval()
    ids = generate(model, [1, 2, 3], 30)
    for end in (20, 33):
        seen = ids[end - 13 : end - 1]
        assert int(model(seen[None]).data[0, -1].argmax()) == ids[end - 1]


@given(
    seed=st.integers(0, 20),
    length=st.integers(1, 6),
    new=st.integers(0, 6),
    temperature=st.sampled_from([0.0, 1.0]),
)
@settings(max_examples=25)
def test_a_cache_changes_nothing_but_the_work(
    seed: int, length: int, new: int, temperature: float
) -> None:
    model = small_gpt(seed)
    prompt = np.random.default_rng(seed).integers(0, 11, (3, length))
    plain, cached = (
        generate(model, prompt, new, temperature, rng=np.random.default_rng(seed), cache=c)
        for c in (None, cache())
    )
    np.testing.assert_array_equal(plain, cached)


def test_a_cache_goes_on_where_it_stood() -> None:
    model, layers = small_gpt(), cache()
    whole = generate(model, [1, 2, 3], 8)
    first = generate(model, [1, 2, 3], 4, cache=layers)
    second = generate(model, first[-1:], 4, cache=layers)
    assert [*first.tolist(), *second.tolist()[1:]] == whole.tolist()


def test_a_batch_is_its_rows() -> None:
    model = small_gpt()
    prompts = np.array([[1, 2], [5, 0], [9, 9]])
    batch = generate(model, prompts, 6)
    assert batch.shape == (3, 8)
    for prompt, row in zip(prompts, batch, strict=True):
        np.testing.assert_array_equal(generate(model, prompt, 6), row)


def test_the_same_seed_draws_the_same_tokens() -> None:
    model = small_gpt()
    runs = [
        generate(model, [1], 20, temperature=1.0, rng=np.random.default_rng(seed)).tolist()
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_the_prompt_may_be_a_tensor_and_stays() -> None:
    prompt = Tensor(np.array([1, 2]))
    assert generate(small_gpt(), prompt, 3)[:2].tolist() == [1, 2]
    assert prompt.data.tolist() == [1, 2]
    assert generate(small_gpt(), prompt, 0).tolist() == [1, 2]


def test_nothing_is_recorded_and_the_modes_come_back() -> None:
    model = GPT(
        GPTConfig(vocab_size=11, block_size=12, n_layer=1, n_head=1, n_embd=8, dropout=0.5),
        np.random.default_rng(0),
    )
    model.norm.eval()
    before = [module.training for module in model.modules()]
    runs = [generate(model, [1, 2], 8).tolist() for _ in range(3)]
    assert runs[0] == runs[1] == runs[2], "dropout must be off"
    assert [module.training for module in model.modules()] == before
    assert all(parameter.grad is None for parameter in model.parameters())


LOGITS = np.array([[0.0, 1.0, 3.0, 2.0, -1.0]], np.float32)


def frequencies(temperature: float, top_k: int | None, draws: int = 20_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = next_tokens(np.repeat(LOGITS, draws, axis=0), temperature, top_k, rng)
    return np.bincount(drawn, minlength=5) / draws


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [None, 1, 3, 5, 50])
def test_draws_have_the_probabilities_of_the_softmax(temperature: float, top_k: int | None) -> None:
    kept = LOGITS[0] / temperature
    if top_k is not None and top_k < 5:
        kept = np.where(kept >= np.sort(kept)[-top_k], kept, -np.inf)
    expected = np.exp(kept - kept.max())
    expected /= expected.sum()
    given_frequencies = frequencies(temperature, top_k)
    np.testing.assert_allclose(given_frequencies, expected, atol=0.015)
    assert not given_frequencies[expected == 0].any()


def test_top_k_of_equal_scores_keeps_exactly_k() -> None:
    rng = np.random.default_rng(0)
    drawn = next_tokens(np.zeros((2000, 6), np.float32), 1.0, 2, rng)
    assert set(drawn.tolist()) == {0, 1}


def test_a_token_without_probability_is_never_drawn() -> None:
    logits = np.full((5000, 3), -np.inf, np.float32)
    logits[:, 1] = 0
    assert set(next_tokens(logits, 1.0, None, np.random.default_rng(0)).tolist()) == {1}


def test_greedy_takes_the_smallest_of_equal_tokens() -> None:
    assert next_tokens(np.zeros((1, 4)), 0.0, None, np.random.default_rng(0)).tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": []}, "at least one whole number"),
        ({"prompt": [[[1]]]}, r"\(1, 1, 1\)"),
        ({"prompt": [0.5]}, "float64"),
        ({"max_new_tokens": -1}, "max_new_tokens is -1"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(small_gpt(), **({"prompt": [1], "max_new_tokens": 2} | arguments))  # type: ignore[arg-type]


def test_more_than_a_cache_has_positions_for_is_refused_before_any_work() -> None:
    layers = cache()
    with pytest.raises(ValueError, match="need 13 positions"):
        generate(small_gpt(), [1, 2, 3], 11, cache=layers)
    assert layers[0].length == 0
    assert len(generate(small_gpt(), [1, 2, 3], 10, cache=layers)) == 13


def test_the_shipped_model_writes_words_of_its_corpus() -> None:
    docs, model = python_docs(), load("docs_gpt")
    assert isinstance(model, GPT)
    prompt = docs.encode("The class statement ")
    ids = generate(model, prompt, 200, temperature=0.7, top_k=20, rng=np.random.default_rng(0))
    words = docs.decode(ids[len(prompt) :]).split()[:-1]
    known = set((docs.train + docs.validation).split())
    assert len(words) > 15
    assert np.mean([word in known for word in words]) > 0.6, " ".join(words)
