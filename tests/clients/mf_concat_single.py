"""argv[1] = a unified directory with MindSpore's names under qkv_concat, of the model of make_unified.py. LlamaForCausalLM(qkv_concat=True) loads
it; what it must hold is what MindSpore Transformers' own functions make of the plain weights."""
import sys; sys.path.insert(0, __file__.rsplit('/', 1)[0])
from mfcommon import *
from mindformers.trainer.utils import transform_and_load_checkpoint
from mindformers.utils.convert_utils import ffn_concat_hf2mg, qkv_concat_hf2mg
plain = {p.name: value(p.name, p.shape) for p in tiny_llama().get_parameters()}
net = tiny_llama(qkv_concat=True)
cfg = config(sys.argv[1], model=dict(model_config=dict(qkv_concat=True)))
transform_and_load_checkpoint(cfg, ms.Model(net), net, None, do_predict=True)
bad = n = 0
for p in net.get_parameters():
    if ".w_qkv." in p.name:
        q, k, v = (plain[p.name.replace("w_qkv", w)] for w in ("wq", "wk", "wv"))
        want = qkv_concat_hf2mg(np.concatenate((q, k, v), 0), LLAMA["num_heads"], LLAMA["n_kv_heads"], LLAMA["hidden_size"])
    elif ".w_gate_hidden." in p.name:
        want = ffn_concat_hf2mg(np.concatenate([plain[p.name.replace("w_gate_hidden", w)] for w in ("w1", "w3")], 0), LLAMA["intermediate_size"])
    else:
        want = plain[p.name]
    n += 1
    if not np.array_equal(p.asnumpy(), want):
        bad += 1
        print("WRONG", p.name, p.shape)
print(f"checked {n} parameters, {bad} wrong")
sys.exit(0 if n and not bad else 1)
