"""How PSPs look from outside. One folder a PSP; the engine knows none of them."""
