"""argv: DIR WORLD: what mindformers decides for DIR (rank_N/ folders) in a training of WORLD ranks: whether the path is shared by all
hosts, and which file rank 0 resumes from. Prints both; only the size of the group is not real."""
import sys; sys.path.insert(0, __file__.rsplit('/', 1)[0])
from mfcommon import *
from mindformers.utils import file_utils
file_utils.get_real_group_size = lambda: int(sys.argv[2])
from mindformers.tools import resume_ckpt
print("shared", file_utils.is_publicly_accessible_path(sys.argv[1]))
print("resume", resume_ckpt.get_resume_checkpoint(sys.argv[1], True, True, "safetensors"))
