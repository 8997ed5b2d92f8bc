"""Which person crops calibrate the network, and the manifest that names them."""
