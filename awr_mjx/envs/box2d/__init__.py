"""Box2D's rigid-body step for one kind of scene: a hull with two hinged legs above a polyline of ground.

Sequential impulses with warm starting, position correction, sleeping and continuous collision, as in Box2D 2.3 (Catto;
the functions named in docstrings are its own), for a fixed number of bodies, joints and contacts. Everything is written
for scalars: under `jax.vmap` each becomes a vector over environments, in which compilers see straight loops.

`shapes` and `collision` are geometry; `hinges` and `contacts` are the two kinds of constraints; `world` puts a step
together.
"""
