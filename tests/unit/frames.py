"""A molecule as text, for the tests of reading."""

PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
HYDROGEN = f"""2
{PROPERTIES} charge=0 spin=1 energy=-31.7 pbc="F F F"
H 0.0 0.0 0.0 0.0 0.0 0.1
H 0.0 0.0 0.74 0.0 0.0 -0.1
"""
