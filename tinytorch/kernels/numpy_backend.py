"""The default backend."""

from tinytorch.kernels.attention import Attention
from tinytorch.kernels.comparison import Comparison
from tinytorch.kernels.convolution import Convolution
from tinytorch.kernels.elementwise import Elementwise
from tinytorch.kernels.indexing import Indexing
from tinytorch.kernels.linear_algebra import LinearAlgebra
from tinytorch.kernels.normalization import Normalization
from tinytorch.kernels.optimizer_steps import OptimizerSteps
from tinytorch.kernels.pooling import Pooling
from tinytorch.kernels.reductions import Reductions
from tinytorch.kernels.softmax import Softmax


class NumpyBackend(
    Elementwise,
    Comparison,
    Reductions,
    LinearAlgebra,
    Convolution,
    Pooling,
    Normalization,
    Softmax,
    Attention,
    Indexing,
    OptimizerSteps,
):
    """Every operation of the framework in NumPy alone.

    Make a faster backend by inheriting from this class and overriding some kernels.
    """

    name = "numpy"
