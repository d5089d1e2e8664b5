"""Battles on JaxMARL's SMAX, in this process.

``import_smax`` imports the simulator, ``compilation`` compiles functions of one battle for many,
``program`` holds the compiled functions, and ``battles`` plays N battles with them. ``backend`` is
the entry in the table of backends.
"""
