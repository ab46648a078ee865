"""From text to whole numbers and back."""

from tinytorch.text.bpe_tokenizer import BPETokenizer
from tinytorch.text.char_tokenizer import CharTokenizer

__all__ = ["BPETokenizer", "CharTokenizer"]
