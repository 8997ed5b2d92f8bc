"""Optional packages: imported where they are needed, with the remedy where they are missing."""

import importlib
from types import ModuleType

from quantkit.errors import Unavailable


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say how to install it.

    Args:
        module: Dotted name of the module.
        extra: The extra of quantkit that brings it.
        purpose: What needs it, as the subject of the message: "Backend 'openvino'".

    Raises:
        Unavailable: The module is absent or cannot be loaded.

    Example:
        >>> require("math", extra="torch", purpose="This example").sqrt(4.0)
        2.0
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        message = f"{purpose} needs '{error.name}': pip install 'quantkit[{extra}]'"
        raise Unavailable(message) from error
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0]
        message = f"{purpose} cannot load '{module}' ({reason}): pip install 'quantkit[{extra}]'"
        raise Unavailable(message) from error
