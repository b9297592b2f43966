"""Where more lanes stop paying on a device, and from where another device pays: `scale`, and the crossover map."""
