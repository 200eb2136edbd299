"""m7: the loop, assembled from m0–m4."""
