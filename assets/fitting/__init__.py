"""How networks are trained, for teachers and students alike: PyTorch Lightning's Trainer, with what it lacks."""

from assets.fitting.torchvision_shim import mend

mend()  # before Lightning looks for it
