"""Names that the command line offers without loading what reads data sets."""

# Of `ascendvsr.preparation.sets.DATA_SETS` and `DEGRADATIONS`.
DATA_SETS = ("reds", "vimeo90k", "vid4", "udm10", "gopro", "dvd", "davis", "set8", "pairs", "clips")
DEGRADATIONS = ("bicubic", "bicubic-end", "bd", "duf")
