"""The errors that Penstock raises: docs/errors.md says for each what a program can do about it."""


class Error(Exception):
    """Every error of Penstock: it names the file, model or tensor concerned, what was wrong, and what to do."""


class InvalidArgumentError(Error, ValueError):
    """Something was given that cannot be used; the message says what would be."""


class NotFoundError(Error, LookupError):
    """A file, model, tensor or library that was named is not there."""


class CorruptError(Error):
    """A file is truncated or contradicts itself."""


class IncompatibleError(Error):
    """A sound file for another machine: architecture, instructions, glibc, device."""


class UnsupportedError(Error):
    """A sound file that needs something Penstock does not have."""


class OutOfMemoryError(Error, MemoryError):
    """Memory could not be had; the message says how much was asked for."""


class CancelledError(Error):
    """A progress callback asked to stop."""


class CudaError(Error):
    """A CUDA call failed. `cuda_result` is the driver's code."""

    cuda_result: int = 0


class InternalError(Error):
    """A defect of Penstock or of the package's code."""
