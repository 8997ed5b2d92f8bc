"""What can be known of an ncnn network before it runs, and must be: ncnn dies, or says too little.

Every command that opens a network passes through `check_pair`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import ncnn

from quantkit.errors import InputError
from quantkit.model.input_fit import check_input
from quantkit.model.network import Network, read_network
from quantkit.model.param import Layer, Param, read_param
from quantkit.model.shape_rule import Shape
from quantkit.model.source import NcnnFiles

_NAMED = 3


def check_pair(files: NcnnFiles, shape: Shape | None = None) -> Network:
    """Check that ncnn can run a network on inputs of a shape, without running it.

    Args:
        files: The network.
        shape: (channels, height, width) of its input; None where only the .param may say it.

    Returns:
        The network.

    Raises:
        InputError: A file is malformed, ncnn has no layer of some type, or a layer takes another
            number of values than it gets.
    """
    param = read_param(files.param)
    if unknown := unknown_types(param.layers):
        message = f"ncnn has no layer type {listed_types(unknown)}"
        raise InputError(message, path=files.param)
    network = read_network(files)
    check_input(param, files.input, shape)
    return network


def unknown_types(layers: Iterable[Layer]) -> Mapping[str, Sequence[str]]:
    """List the layers of types that this ncnn cannot make, by type.

    Example:
        >>> unknown_types([Layer("ReLU", "a", (), ()), Layer("YoloV5Focus", "b", (), ())])
        {'YoloV5Focus': ['b']}
    """
    names: defaultdict[str, list[str]] = defaultdict(list)
    for layer in layers:
        names[layer.type].append(layer.name)
    return {kind: names for kind, names in names.items() if ncnn.create_layer(kind) is None}


def listed_types(types: Mapping[str, Sequence[str]]) -> str:
    """Write types with the count and the names of their layers.

    Example:
        >>> listed_types({"Focus": ["a"], "Swish2": ["b", "c", "d", "e"]})
        "'Focus' (1 layer: 'a'), 'Swish2' (4 layers: 'b', 'c', 'd', ...)"
    """
    return ", ".join(f"'{kind}' ({_listed(names)})" for kind, names in types.items())


def _listed(names: Sequence[str]) -> str:
    few = ", ".join(f"'{name}'" for name in names[:_NAMED])
    count = f"{len(names)} layer{'s' if len(names) > 1 else ''}"
    return f"{count}: {few}{', ...' if len(names) > _NAMED else ''}"


def check_conversion(
    param: Param, origin: str, operators: Callable[[], Iterable[str]] = tuple
) -> None:
    """Refuse what pnnx wrote of a network with operators that it could not convert.

    Args:
        param: What it wrote.
        origin: The network that was converted, as the user knows it.
        operators: Gives the types of the ONNX nodes that it was converted from.

    Raises:
        InputError: An operator is left; each is named with its count and its ONNX type.
    """
    unknown = unknown_types(param.layers)
    if not unknown:
        return
    count = sum(map(len, unknown.values()))
    sources = {_bare(operator): operator for operator in operators()}
    parts = []
    for kind, names in unknown.items():
        source = sources.get(_bare(kind))
        made = f", made of ONNX {source}" if source else ""
        parts.append(f"'{kind}' ({_listed(names)}{made})")
    message = (
        f"pnnx left {count} operator{'s' if count > 1 else ''} of {origin} that ncnn cannot run: "
        f"{', '.join(parts)}; build the network without them and export it again"
    )
    raise InputError(message)


def _bare(operator: str) -> str:
    """Strip what pnnx's names and ONNX's differ in: `F.grid_sample` and `GridSample`.

    Example:
        >>> _bare("F.grid_sample") == _bare("GridSample"), _bare("aten::einsum")
        (True, 'einsum')
    """
    return operator.replace("::", ".").rpartition(".")[2].replace("_", "").lower()
