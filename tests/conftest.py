"""What every test needs: checked array shapes, and JAX set up as in the programs."""

import signal

import jaxtyping

import tests.typechecker

# Before anything imports it: every array that enters or leaves a function of `awr_mjx` is checked against its shape.
jaxtyping.install_import_hook("awr_mjx", f"{tests.typechecker.__name__}.checked")

from train.engine.jax_setup import start_jax  # noqa: E402  (it imports `awr_mjx`)

start_jax()
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, all that tests start would ignore it
