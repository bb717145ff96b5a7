"""What every test needs: checked array shapes, and compiled programs kept between test runs."""

import os
import pathlib

import jax
import jaxtyping

import tests.typechecker

# Before anything imports it: every array that enters or leaves a function of `awr_mjx` is checked against its shape.
jaxtyping.install_import_hook("awr_mjx", f"{tests.typechecker.__name__}.checked")

if jax.config.jax_compilation_cache_dir is None:  # the user has chosen no place
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "awr_mjx" / "jax"
    jax.config.update("jax_compilation_cache_dir", str(cache))
