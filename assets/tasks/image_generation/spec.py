"""What image generation reads, answers and is measured by."""

from __future__ import annotations

from assets.line.tasks import TaskSpec

SPEC = TaskSpec(
    name="image_generation",
    sections={"image": ("dcgan", "mlp_gan")},
    answer="image",
    regression=False,
    metric="frechet",
    metrics={"frechet": "lower"},
    losses=("adversarial", "hinge"),
    note="Noise to pictures like those of the data: a GAN.",
    section_is_input=False,
    default=False,
)
