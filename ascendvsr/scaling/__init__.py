"""Work in parts: by hand with `--part`, or on a cluster of Dask with `--cluster`."""
