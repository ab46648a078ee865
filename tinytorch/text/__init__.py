"""From text to whole numbers and back."""

from tinytorch.text.bigram import bigram_loss
from tinytorch.text.bpe_tokenizer import BPETokenizer
from tinytorch.text.char_tokenizer import CharTokenizer

__all__ = ["BPETokenizer", "CharTokenizer", "bigram_loss"]
