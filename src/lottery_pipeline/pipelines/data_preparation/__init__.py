"""Data preparation: from a source of images to fixed splits with statistics, and a look at them."""
