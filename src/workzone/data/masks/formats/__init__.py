"""Readers and writers of annotation formats, one file each; none looks at the images."""
