"""tinytorch beside PyTorch eager on one CPU thread: `make bench`."""
