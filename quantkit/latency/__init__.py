"""How long layers and whole networks take on a machine, in fp32 and in int8."""
