"""The type checker of the tests: beartype, with ints where floats are declared (PEP 484)."""

from beartype import BeartypeConf, beartype

pep484 = beartype(conf=BeartypeConf(is_pep484_tower=True))
