"""Names of the common corruptions (arXiv 1903.12261): fifteen for testing, four for validation only."""

# In the order of the paper, by group.
GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
TEST_CORRUPTIONS = tuple(name for names in GROUPS.values() for name in names)
# Meant for choosing settings, so they never enter a mean.
VALIDATION_CORRUPTIONS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
LABELS = {name: name.replace("_", " ").capitalize() for name in TEST_CORRUPTIONS} | {
    "jpeg_compression": "JPEG compression"
}
# Settings of rows that are not of one corruption.
CLEAN, MEAN = "clean", "mean"
SEVERITIES = (1, 2, 3, 4, 5)


def describe_cell(name: str, severity: int) -> str:
    """Return the name of one corruption at one severity, as it is written in rows."""
    return f"{name} {severity}"
