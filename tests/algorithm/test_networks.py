"""What the layers do."""

import jax
import numpy as np

from awr_mjx.algorithm.networks import Mlp

OBS = jax.random.normal(jax.random.key(1), (16, 3))


def test_a_normalised_layer_does_not_see_how_large_its_input_is() -> None:
    for layer_norm in (True, False):
        net = Mlp((8,), 2, "relu", layer_norm=layer_norm)
        params = net.init(jax.random.key(0), OBS)["params"]
        larger = {**params, "hidden_0": jax.tree.map(lambda x: 50.0 * x, params["hidden_0"])}
        out, of_larger = (np.asarray(net.apply({"params": p}, OBS)) for p in (params, larger))
        same = np.allclose(out, of_larger, atol=1e-3)
        assert same == layer_norm
        assert ("norm_0" in params) == layer_norm
        assert np.isfinite(out).all()
