"""Layer and batch normalization."""

import numpy as np

from tinytorch.kernels.arrays import Array, blocks, filled_vector, row_sums


def channel_sums(x: Array) -> Array:
    """Sum of each channel of x (B, C, H, W): (C,)."""
    each = row_sums(x.reshape(*x.shape[:2], -1))  # (B, C)
    result: Array = np.add.reduce(each, axis=0)
    return result


def _layer_norm_of_row(
    x: Array, weight: Array, bias: Array, eps: float, average: Array
) -> tuple[Array, Array, Array]:
    """`layer_norm` of a single row: vectors and numbers take NumPy two thirds of the time."""
    result = x.reshape(-1)
    mean = result.dot(average)
    result = np.subtract(result, mean)
    variance = np.multiply(result, result).dot(average)
    inverse_std = 1 / np.sqrt(variance + x.dtype.type(eps))
    result *= inverse_std
    result *= weight
    result += bias
    each = (*x.shape[:-1], 1)
    return result.reshape(x.shape), mean.reshape(each), inverse_std.reshape(each)


class Normalization:
    """Each kernel returns the result and the statistics its gradient needs."""

    def layer_norm(
        self, x: Array, weight: Array, bias: Array, *, eps: float
    ) -> tuple[Array, Array, Array]:
        """Normalize the last axis of x (..., C) to mean 0 and variance 1, then scale and shift.

        Returns:
            Result (..., C), mean (..., 1) and 1 / standard deviation (..., 1).

        Source: Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450.
        """
        average = filled_vector(x.shape[-1], 1 / x.shape[-1], x.dtype)
        if x.size == x.shape[-1]:  # one row, as when a model writes token by token
            return _layer_norm_of_row(x, weight, bias, eps, average)
        mean = np.matmul(x, average)[..., None]
        result = np.subtract(x, mean)
        variance = np.matmul(np.multiply(result, result), average)[..., None]
        variance += eps
        inverse_std = 1 / np.sqrt(variance)
        result *= inverse_std
        result *= weight
        result += bias
        return result, mean, inverse_std

    def layer_norm_grad(
        self, g: Array, x: Array, weight: Array, mean: Array, inverse_std: Array
    ) -> tuple[Array, Array, Array]:
        """Gradients of `layer_norm` for x, weight and bias."""
        channels = x.shape[-1]
        result: Array = np.empty(x.shape, np.result_type(g, x))
        weight_grad: Array = np.zeros(channels, result.dtype)
        bias_grad: Array = np.zeros(channels, result.dtype)
        flat = [each.reshape(-1, each.shape[-1]) for each in (g, x, mean, inverse_std, result)]
        weighted_average = weight * (1 / channels)
        average = filled_vector(channels, 1 / channels, x.dtype)
        for block in blocks(len(flat[0]), 4 * channels * x.itemsize):
            rows, values, row_means, scale, target = (each[block] for each in flat)
            normal = np.subtract(values, row_means)
            normal *= scale
            product = np.multiply(rows, normal)
            ones = filled_vector(len(rows), 1, x.dtype)
            weight_grad += ones.dot(product)
            bias_grad += ones.dot(rows)
            np.multiply(rows, weight, out=target)
            normal *= product.dot(weighted_average)[:, None]
            normal += target.dot(average)[:, None]
            target -= normal
            target *= scale
        return result, weight_grad, bias_grad

    def batch_norm(
        self,
        x: Array,
        weight: Array,
        bias: Array,
        running_mean: Array,
        running_var: Array,
        *,
        training: bool,
        momentum: float,
        eps: float,
    ) -> tuple[Array, Array, Array]:
        """Normalize each channel of x (B, C, H, W), then scale and shift.

        In training with the batch's statistics, which also move the running ones (in place);
        otherwise with the running ones.

        Returns:
            Result (B, C, H, W), mean (C,) and 1 / standard deviation (C,) that were used.

        Source: Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167.
        """
        if training:
            count = x.size // x.shape[1]
            mean = channel_sums(x)
            mean *= 1 / count
            centred = x - mean[:, None, None]
            var = channel_sums(centred * centred)
            var *= 1 / count
            running_mean += momentum * (mean - running_mean)
            running_var += momentum * (var * (count / max(count - 1, 1)) - running_var)
        else:
            mean, var = running_mean.copy(), running_var
            centred = x - mean[:, None, None]
        inverse_std = (1 / np.sqrt(var + eps)).astype(x.dtype, copy=False)
        centred *= (inverse_std * weight)[:, None, None]
        centred += bias[:, None, None]
        return centred, mean, inverse_std

    def batch_norm_grad(
        self,
        g: Array,
        x: Array,
        weight: Array,
        mean: Array,
        inverse_std: Array,
        *,
        training: bool,
    ) -> tuple[Array, Array, Array]:
        """Gradients of `batch_norm` for x, weight and bias."""
        normal = x - mean[:, None, None]
        normal *= inverse_std[:, None, None]
        bias_grad = channel_sums(g)
        weight_grad = channel_sums(g * normal)
        scale = (weight * inverse_std)[:, None, None]
        if not training:
            return g * scale, weight_grad, bias_grad
        count = g.dtype.type(x.size // x.shape[1])
        normal *= (weight_grad / count)[:, None, None]
        result = g - normal
        result -= (bias_grad / count)[:, None, None]
        result *= scale
        return result, weight_grad, bias_grad
