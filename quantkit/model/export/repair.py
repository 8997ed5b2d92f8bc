"""Old exporters' mistakes that one runtime overlooks and another refuses."""

from typing import Any


def repair(model: Any) -> tuple[str, ...]:
    """Mend an ONNX model in place, without a change of what it computes.

    * Weights that are listed as inputs too are taken out of the inputs.
    * `BatchNormalization` with `spatial=0` and one value a channel, which MXNet wrote, means
      `spatial=1`: ONNX Runtime takes it at its word and refuses it.

    Args:
        model: An `onnx.ModelProto`.

    Returns:
        What was mended, for the report.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    notes = []
    listed = [value for value in graph.input if value.name in weights]
    for value in listed:
        graph.input.remove(value)
    if listed:
        # Before this version of the format a weight had to be an input.
        model.ir_version = max(model.ir_version, 4)
        notes.append(f"{len(listed)} weights are no longer inputs")
    mended = [node for node in graph.node if _is_wrongly_spatial(node, weights)]
    for node in mended:
        kept = [attribute for attribute in node.attribute if attribute.name != "spatial"]
        del node.attribute[:]
        node.attribute.extend(kept)
    if mended:
        notes.append(f"{len(mended)} BatchNormalization are spatial")
    return tuple(notes)


def _is_wrongly_spatial(node: Any, weights: dict[str, Any]) -> bool:
    if node.op_type != "BatchNormalization" or node.input[1] not in weights:
        return False
    per_channel = len(weights[node.input[1]].dims) == 1
    return per_channel and any(a.name == "spatial" and a.i == 0 for a in node.attribute)
