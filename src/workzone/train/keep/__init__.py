"""A training on disk, so that it can stop and go on; bundles are made by `job`."""
