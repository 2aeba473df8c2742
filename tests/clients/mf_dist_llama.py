"""Run under: msrun --worker_num=N --local_worker_num=N --join=True mf_dist_llama.py DIR
The real LlamaForCausalLM loads a unified directory with auto_trans_ckpt, whole in each worker; a config.json in DIR changes nothing."""
import sys; sys.path.insert(0, __file__.rsplit('/', 1)[0])
from mfcommon import *
from mindspore.communication import init, get_rank
src = os.path.abspath(sys.argv[1])
ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU"); init(); r = get_rank()
out = os.path.abspath("./output_dist")
ms.set_auto_parallel_context(strategy_ckpt_config={"save_file": f"{out}/strategy/ckpt_strategy_rank_{r}.ckpt"})
from mindformers.trainer.utils import transform_and_load_checkpoint
net = tiny_llama()
cfg = config(src, use_parallel=True, auto_trans_ckpt=True, output_dir=out, parallel=dict(parallel_mode="STAND_ALONE"))
transform_and_load_checkpoint(cfg, ms.Model(net), net, None, do_predict=False)
sys.exit(0 if check(net) else 1)
