# The parts of a package without types that the tests use.
