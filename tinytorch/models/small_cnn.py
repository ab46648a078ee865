"""A small convolutional network for small images."""

import numpy as np

from tinytorch import nn
from tinytorch.tensor import Tensor


class SmallCNN(nn.Module):
    """Two convolutions, each with normalization, ReLU and pooling, and one linear layer.

    Args:
        in_channels: C of the images.
        image_size: their height and width, a multiple of 4.
        num_classes: channels of the result.
        width: channels after the first convolution; the second has twice as many.
        rng: source of the initial values.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 8,
        num_classes: int = 10,
        width: int = 16,
        rng: np.random.Generator | None = None,
    ) -> None:
        if image_size < 4 or image_size % 4:
            raise ValueError(
                f"image_size is {image_size}; it must be a multiple of 4, since it is halved twice"
            )
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, rng=rng),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1, rng=rng),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(2 * width * (image_size // 4) ** 2, num_classes, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, num_classes)."""
        features = self.features(x)  # (B, 2 width, H / 4, W / 4)
        return self.classifier(self.flatten(features))  # type: ignore[no-any-return]
