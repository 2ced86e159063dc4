"""`edgeloop inspect`: what a source holds, before anything of it lands."""
