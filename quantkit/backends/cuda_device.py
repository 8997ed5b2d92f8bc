"""The first CUDA device: whether there is one, what it is, and CUDA's status codes as errors."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from quantkit.errors import BackendDied, Unavailable
from quantkit.optional import require

_PURPOSE: Final = "Backend 'tensorrt'"
_ELSEWHERE: Final = "run it where an NVIDIA driver and GPU are"


@dataclass(frozen=True)
class Device:
    """A GPU, by what an engine built for it depends on.

    Args:
        name: As NVIDIA calls it.
        capability: Compute capability: "8.9".
        driver: The newest CUDA that the driver knows: "12.4".
    """

    name: str
    capability: str
    driver: str


def import_cuda() -> ModuleType:
    """Import CUDA's runtime and make sure that there is a GPU.

    Raises:
        Unavailable: The runtime cannot be loaded, or there is no GPU.
    """
    cuda = require("cuda.bindings.runtime", extra="tensorrt", purpose=_PURPOSE)
    try:
        status, count = cuda.cudaGetDeviceCount()
    except RuntimeError as error:  # an older cuda-python looks for the driver's library here
        message = f"{_PURPOSE} cannot load CUDA ({error}): {_ELSEWHERE}"
        raise Unavailable(message) from error
    if int(status) != 0 or not count:
        raise Unavailable(_why_no_gpu(cuda, status))
    return cuda


def first_device(cuda: ModuleType) -> Device:
    """Describe the GPU that is used.

    Raises:
        BackendDied: CUDA fails.
    """
    properties = done(*cuda.cudaGetDeviceProperties(0))
    name = properties.name
    return Device(
        name=(name.decode() if isinstance(name, bytes) else name).rstrip("\0"),
        capability=f"{properties.major}.{properties.minor}",
        driver=_cuda_version(done(*cuda.cudaDriverGetVersion())),
    )


def done(status: Any, *values: Any) -> Any:
    """Unpack what a CUDA function returned.

    Raises:
        BackendDied: Its status is not success.

    Example:
        >>> done(0, "a pointer")
        'a pointer'
    """
    if int(status) != 0:
        message = f"CUDA failed with {_name(status)}"
        raise BackendDied(message)
    return values[0] if values else None


def _why_no_gpu(cuda: ModuleType, status: Any) -> str:
    _, driver = cuda.cudaDriverGetVersion()
    if not driver:
        return f"{_PURPOSE} finds no NVIDIA driver ({_name(status)}): {_ELSEWHERE}"
    if _name(status) == "cudaErrorInsufficientDriver":
        return (
            f"{_PURPOSE} needs a newer NVIDIA driver: this one knows CUDA {_cuda_version(driver)};"
            f" update it, or pip install 'cuda-python<={_cuda_version(driver)}'"
        )
    return f"{_PURPOSE} finds no GPU ({_name(status)}): {_ELSEWHERE}"


def _name(status: Any) -> str:
    return str(getattr(status, "name", status))


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
