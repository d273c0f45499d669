"""Multiply-adds of one evaluation of the energy, counted from the form as a fused kernel would do it."""

from form import Form


def cost(form: Form) -> tuple[int, int]:
    """(per edge, per atom), all layers, forward only; 4 knots per filter; matrices that need the types only are free.

    The first layer has no vectors and tensors of neighbors, and sends functions of the element (tabulated).
    """
    c, edge, atom = form.channels, 0, 0
    tensor = form.core in ("D2", "D2s", "D2a", "lin", "D2c")
    carried = tensor and form.core != "D2a"
    for layer in range(form.layers):
        own = 3 if tensor else 2
        if form.core == "painn":
            own = 2
        passed = 0 if layer == 0 else (2 if carried else 1)
        directional = 1 + (1 + 3) + (1 + 5 if tensor else 0)
        received = 0 if layer == 0 else 3 + (5 if carried else 0)
        received += 1 if form.core == "painn" and layer > 0 else 0
        filters = own if form.core == "D2s" else own + passed
        if form.core == "D2c" and layer > 0:  # v.u, t.u and (v u)_0, each with a filter of its own
            filters += 3
            received += (3 + 1) + (9 + 3) + (9 + 5)
        edge += c * (4 * filters + directional + received)
        if form.core == "painn":
            atom += c * c * ((1 + own + passed) * (layer > 0) + 3 * 2 + 2 + 3) + c * 12
            continue
        atom += c * c * own * (layer > 0)
        vectors, tensors = 3 * 2, (5 * 2 if carried else 5)
        atom += c * c * (vectors if tensor else 2 * vectors) + c * c * (tensors if tensor else 0)
        atom += c * c * 3 * 2 + c * c * (5 * 3 if carried else 0)
        invariants, gates = (7, 5 if carried else 2) if tensor else (4, 2)
        atom += c * c * invariants
        if form.core != "lin":
            atom += 2 * c * c * invariants + 2 * c * c * (1 + gates)
        atom += c * (150 if tensor else 20)
    return edge, atom + c * c
