"""The candidate cores behind one interface: energies of several models of one form at once.

Every tensor carries the models first: [models, atoms, components, channels]. No product of irreps on any edge, but in
D2c.
"""

import torch
from form import STATES, Batch, Form
from parameters import Layout, apply_linear
from radial import BASIS, products, radial_functions
from torch import Tensor


class Candidate:
    """Energy function of a form; `with_state` adds an embedding of charge and multiplicity to the scalars."""

    def __init__(
        self,
        form: Form,
        n_types: int,
        mean_neighbors: float,
        with_state: bool,
        cutoff: float,
        device: torch.device,
    ) -> None:
        self.form, self.n_types, self.with_state = form, n_types, with_state
        self.scale = 2.5 / mean_neighbors**0.5
        self.tensor = form.core in ("D2", "D2s", "D2a", "lin", "D2c")  # tensors among the summed directions
        self.carried = self.tensor and form.core != "D2a"  # and in the state
        self.rows = 9 if self.carried else 4
        kind = "bessel8" if form.radial in ("mlp", "free") else form.radial
        self.functions = radial_functions(kind, form.knots, cutoff).to(device)
        self.products, self.basis = products().to(device), BASIS.to(device)
        self.layout = Layout()
        self._declare()

    def _declare(self) -> None:
        form, lay, c, t = self.form, self.layout, self.form.channels, self.n_types
        lay.add("embedding", t, c, std=1.0)
        lay.add("offset", t, 1)
        if self.with_state:
            lay.add("state", STATES, c, std=0.3)
        for n in range(form.layers):
            self._declare_filters(n)
            lay.linear(f"readout{n}", c, 1, bias=False)
            if form.core == "painn":
                lay.linear(f"source{n}", c, c)
                lay.linear(f"source{n}o", c, self.filters(n) * c)
                lay.linear(f"mix{n}", c, 2 * c, bias=False, gain=1.0)
                lay.linear(f"hidden{n}", 2 * c, c)
                lay.linear(f"out{n}", c, 3 * c)
                continue
            lay.linear(f"source{n}", c, (3 if self.tensor else 2) * c)
            invariants, gates = (7, 5 if self.carried else 2) if self.tensor else (4, 2)
            lay.add(f"element_scale{n}", t, invariants * c, std=0.1, value=1.0)
            lay.add(f"element_gate{n}", t, gates * c, std=1.0)
            lay.linear(f"linear{n}", invariants * c, c, bias=False)
            if form.core != "lin":
                lay.linear(f"hidden{n}", invariants * c, 2 * c)
                lay.linear(f"out{n}", 2 * c, (1 + gates) * c)
            lay.linear(f"vector_in{n}", 2 * c, c if self.tensor else 2 * c, bias=False, gain=1.0)
            lay.linear(f"vector_out{n}", 2 * c, c, bias=False, gain=1.0)
            if self.tensor:
                lay.linear(f"tensor_in{n}", 2 * c if self.carried else c, c, bias=False, gain=1.0)
            if self.carried:
                lay.linear(f"tensor_out{n}", 3 * c, c, bias=False, gain=1.0)
        lay.linear("last", c, c)
        lay.linear("last_o", c, 1, bias=False)

    def filters(self, layer: int) -> int:
        """Radial filters of a layer; the first has no vectors and tensors to pass on."""
        if self.form.core == "painn":
            return 2 if layer == 0 else 3
        own = 3 if self.tensor else 2
        passed = 0 if layer == 0 or self.form.core == "D2s" else (2 if self.carried else 1)
        multiplied = 3 if self.form.core == "D2c" and layer > 0 else 0
        return own + passed + multiplied

    def _declare_filters(self, n: int) -> None:
        lay, width, functions = self.layout, self.filters(n) * self.form.channels, self.functions.shape[1]
        if self.form.radial == "free":
            lay.add(f"table{n}", self.form.knots, width)
        if self.form.radial == "mlp":
            lay.linear(f"radial{n}a", functions, 64, gain=2.0)
            lay.linear(f"radial{n}b", 64, 64, gain=1.5)
            lay.linear(f"radial{n}c", 64, width, bias=False, gain=1.5)
        else:
            lay.add(f"filter{n}", functions, width, std=functions**-0.5, matrix=True)
        if self.form.pairs:
            lay.add(f"pair{n}", self.n_types**2, functions**2, std=0.3)

    def _filter(self, p: dict[str, Tensor], n: int, spline: Tensor, batch: Batch) -> Tensor:
        """Filters [models, edges, filters, channels] from splines [models, edges, knots]."""
        models, f = spline.shape[0], self.functions
        if self.form.pairs:
            values = torch.matmul(spline, f).unsqueeze(2)  # [models, edges, 1, functions]
            pair = batch.types.unsqueeze(1) * self.n_types + batch.types[batch.neighbor]
            mix = p[f"pair{n}"].index_select(1, pair.reshape(-1)).reshape(models, -1, f.shape[1], f.shape[1])
            w = torch.bmm((values + torch.matmul(values, mix)).squeeze(2), p[f"filter{n}"])
            return w.reshape(models, spline.shape[1], self.filters(n), self.form.channels)
        if self.form.radial == "mlp":
            x = torch.nn.functional.silu(apply_linear(p, f"radial{n}a", f.expand(models, -1, -1)))
            x = torch.nn.functional.silu(apply_linear(p, f"radial{n}b", x))
            table = f[:, :1] * apply_linear(p, f"radial{n}c", x)
        else:
            table = torch.matmul(f, p[f"filter{n}"])
        if self.form.radial == "free":
            table = table + f[:, :1] * p[f"table{n}"]
        return torch.bmm(spline, table).reshape(models, spline.shape[1], self.filters(n), self.form.channels)

    def _message(self, p: dict[str, Tensor], n: int, state: Tensor, w: Tensor, y: Tensor, neighbor: Tensor) -> Tensor:
        """Summed messages [models, n, 4 or 9, channels]; `w` [models, n, width, filters, channels]."""
        models, atoms, _, c = state.shape
        width = neighbor.shape[1]
        if self.form.core == "painn":
            hidden = torch.nn.functional.silu(apply_linear(p, f"source{n}", state[:, :, 0]))
            sent = apply_linear(p, f"source{n}o", hidden).reshape(models, atoms, self.filters(n), c)
        else:
            sent = apply_linear(p, f"source{n}", state[:, :, 0]).reshape(models, atoms, -1, c)
        own = sent.shape[2]
        ranks = 3 if self.tensor else 2
        if n > 0:
            sent = torch.cat([sent, state[:, :, 1:]], 2)
        got = sent.index_select(1, neighbor.reshape(-1)).reshape(models, atoms, width, -1, c)
        d = w[..., :own, :] * got[..., :own, :]
        vectors = torch.matmul(y[..., :3].transpose(2, 3), d[..., 1, :])  # [models, n, 3, c]
        if n > 0:
            passed = d[..., 2:3, :] if self.form.core == "painn" else w[..., self._passed(1), :]
            vectors = vectors + (passed * got[..., own : own + 3, :]).sum(2)
        parts = [d[..., 0, :].sum(2).unsqueeze(2), vectors]
        if ranks == 3:
            tensors = torch.matmul(y[..., 3:].transpose(2, 3), d[..., 2, :])
            if n > 0 and self.carried:
                tensors = tensors + (w[..., self._passed(2), :] * got[..., own + 3 :, :]).sum(2)
            parts.append(tensors)
        message = torch.cat(parts, 2)
        if n > 0 and self.form.core == "D2c":
            message = message + self._edge_products(w[..., -3:, :], y[..., :3], got[..., own:, :])
        return message * self.scale

    def _edge_products(self, w: Tensor, y: Tensor, states: Tensor) -> Tensor:
        """v.u, t.u and (v u)_0 of the neighbors' vectors v and tensors t with the directions u, summed over edges.

        `w` [models, n, width, 3, channels], `y` [models, n, width, 3] sqrt(3) u, `states` [models, n, width, 8,
        channels]. Returns [models, n, 9, channels].
        """
        v, t = states[..., :3, :], states[..., 3:, :]
        u = torch.einsum("qab,mnwb->mnwqa", self.basis, y / 3.0**0.5)  # [models, n, width, 5, 3]
        vu = (v * y.unsqueeze(4)).sum(3) / 3.0**0.5  # [models, n, width, channels]
        tu = torch.einsum("mnwqa,mnwqc->mnwac", u, t) * (9.0 / 5.0) ** 0.5
        outer = torch.einsum("mnwqa,mnwac->mnwqc", u, v) * 3.0**0.5
        parts = [vu.unsqueeze(3) * w[..., :1, :], tu * w[..., 1:2, :], outer * w[..., 2:, :]]
        return torch.cat(parts, 3).sum(2)

    def _passed(self, rank: int) -> slice:
        first = rank if self.form.core == "D2s" else (2 if self.tensor else 1) + rank
        return slice(first, first + 1)

    def _gates(self, p: dict[str, Tensor], n: int, parts: list[Tensor], types: Tensor) -> tuple[Tensor, Tensor]:
        """Change of the scalars [models, n, c] and gates [models, n, gates, c] from invariants."""
        scaled = torch.cat(parts, 2) * p[f"element_scale{n}"].index_select(1, types)
        gate = p[f"element_gate{n}"].index_select(1, types)
        change = apply_linear(p, f"linear{n}", scaled)
        c = self.form.channels
        if self.form.core != "lin":
            out = apply_linear(p, f"out{n}", torch.nn.functional.silu(apply_linear(p, f"hidden{n}", scaled)))
            change, gate = change + out[..., :c], gate + out[..., c:]
        return change, gate.reshape(*gate.shape[:2], -1, c)

    def _update(self, p: dict[str, Tensor], n: int, state: Tensor, message: Tensor, types: Tensor) -> Tensor:
        c = self.form.channels
        s, m = state[:, :, 0], message[:, :, 0]
        if self.form.core == "painn":
            s, v = s + m, state[:, :, 1:] + message[:, :, 1:]
            mixed = apply_linear(p, f"mix{n}", v)
            left, right = mixed[..., :c], mixed[..., c:]
            norm = ((right * right).sum(2) + 1e-6).sqrt()
            hidden = torch.nn.functional.silu(apply_linear(p, f"hidden{n}", torch.cat([s, norm], 2)))
            out = apply_linear(p, f"out{n}", hidden)
            s = s + out[..., :c] + out[..., c : 2 * c] * (left * right).sum(2)
            return torch.cat([s.unsqueeze(2), v + out[..., 2 * c :].unsqueeze(2) * left], 2)
        a = apply_linear(p, f"vector_in{n}", torch.cat([message[:, :, 1:4], state[:, :, 1:4]], 3))
        if not self.tensor:
            left, left2 = _limit(a[..., :c], 12.0)
            right, _ = _limit(a[..., c:], 12.0)
            parts = [s, m, left2 / 3.0, (left * right).sum(2) / 3.0]
            change, gate = self._gates(p, n, parts, types)
            vectors = torch.cat([left * gate[:, :, :1], right * gate[:, :, 1:]], 3)
            return state + torch.cat([change.unsqueeze(2), apply_linear(p, f"vector_out{n}", vectors)], 2)
        tensors = torch.cat([message[:, :, 4:], state[:, :, 4:]], 3) if self.carried else message[:, :, 4:]
        (a, a2), (b, b2) = _limit(a, 12.0), _limit(apply_linear(p, f"tensor_in{n}", tensors), 20.0)
        x = torch.cat([a, b], 2)
        outer = (x.unsqueeze(3) * x.unsqueeze(2)).reshape(*x.shape[:2], 64, c)
        z = torch.matmul(self.products, outer)  # [models, n, 13, c]: b.a, (aa)0, (bb)0
        ba, aa, bb = z[:, :, :3], z[:, :, 3:8], z[:, :, 8:]
        parts = [s, m, a2 / 3.0, b2 / 5.0, (a * ba).sum(2) / 4.0, (b * bb).sum(2) / 5.0, (ba * ba).sum(2) / 8.0]
        change, gate = self._gates(p, n, parts, types)
        vectors = torch.cat([a * gate[:, :, :1], ba * gate[:, :, 1:2]], 3)
        changes = [change.unsqueeze(2), apply_linear(p, f"vector_out{n}", vectors)]
        if self.carried:
            tensors = torch.cat([b * gate[:, :, 2:3], aa * gate[:, :, 3:4], bb * gate[:, :, 4:5]], 3)
            changes.append(apply_linear(p, f"tensor_out{n}", tensors))
        return state + torch.cat(changes, 2)

    def energy(self, p: dict[str, Tensor], batch: Batch, spline: Tensor, direction: Tensor) -> Tensor:
        """[models, frames], in the unit of the training forces' mean; `spline` [models, edges, knots]."""
        models, c = spline.shape[0], self.form.channels
        atoms, width = batch.neighbor.shape
        s = p["embedding"].index_select(1, batch.types)
        if self.with_state:
            frame = batch.state.unsqueeze(1).expand(-1, atoms // batch.frames).reshape(-1)
            s = s + p["state"].index_select(1, frame)
        state = torch.cat([s.unsqueeze(2), s.new_zeros(models, atoms, self.rows - 1, c)], 2)
        y = direction.reshape(models, atoms, width, 8)
        energy = p["offset"].index_select(1, batch.types)
        for n in range(self.form.layers):
            w = self._filter(p, n, spline, batch).reshape(models, atoms, width, self.filters(n), c)
            message = self._message(p, n, state, w, y, batch.neighbor)
            state = self._update(p, n, state, message, batch.types)
            energy = energy + apply_linear(p, f"readout{n}", state[:, :, 0])
        hidden = torch.nn.functional.silu(apply_linear(p, "last", state[:, :, 0]))
        energy = energy + apply_linear(p, "last_o", hidden)
        energy = energy.squeeze(2) * (batch.types > 0)
        return energy.reshape(models, batch.frames, -1).sum(2)


def _limit(x: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """x / sqrt(1 + |x|^2 / bound) per channel and its squared norm."""
    square = (x * x).sum(2)
    factor = torch.rsqrt(1.0 + square / bound)
    return x * factor.unsqueeze(2), square * factor * factor
