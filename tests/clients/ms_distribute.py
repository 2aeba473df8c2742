"""argv: UNIFIED_DIR STRATEGY OUT: the real ms.load_distributed_checkpoint splits a unified directory into OUT/rank_N."""
import sys

import mindspore as ms

if __name__ == "__main__":
    ms.load_distributed_checkpoint(network=None, predict_strategy=sys.argv[2], unified_safetensors_dir=sys.argv[1],
                                   dst_safetensors_dir=sys.argv[3], format="safetensors", max_process_num=2)
