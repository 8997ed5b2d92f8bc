"""A network's own weights, in the form that the torch network takes them."""

from typing import Any

from quantkit.model.network import Network
from quantkit.tuning.distillation.torch_network import WeightSource


def stored_weights(torch: Any, network: Network) -> WeightSource:
    """Take the weights that a network has, as constants."""
    tensors = {
        name: {role: torch.from_numpy(values.copy()) for role, values in weights.items()}
        for name, weights in network.weights.items()
    }
    return lambda layer: tensors.get(layer.name, {})
