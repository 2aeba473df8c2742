"""argv: KIND HF MS, KIND qwen3 or qwen3_moe. The tensors of MS must be what the weight_converters of MindSpore Transformers make of those of HF,
whose config.json says how many heads and experts there are."""
import sys; sys.path.insert(0, __file__.rsplit('/', 1)[0])
import copy, glob, importlib, json, re
from types import SimpleNamespace
from mfcommon import np
from safetensors.numpy import load_file
kind, hf, made = sys.argv[1:]
c = json.load(open(f"{hf}/config.json"))
load = lambda d: {k: v for f in glob.glob(f"{d}/*.safetensors") for k, v in load_file(f).items()}
hf, made = load(hf), load(made)
model = importlib.import_module(f"mindformers.models.{kind}.utils")
ops = getattr(model, {"qwen3": "Qwen3PreTrainedModel", "qwen3_moe": "Qwen3MoePreTrainedModel"}[kind]).weight_converters
config = SimpleNamespace(num_attention_heads=c["num_attention_heads"], num_query_groups=c["num_key_value_heads"], kv_channels=c["head_dim"],
                         hidden_size=c["hidden_size"], tensor_model_parallel_size=1, num_moe_experts=c.get("num_experts"),
                         moe_ffn_hidden_size=c.get("moe_intermediate_size"), expert_model_parallel_size=1,
                         use_interleaved_weight_layout_mlp=c.get("use_interleaved_weight_layout_mlp", True))
want = {}
for op in ops:
    op = copy.copy(op)
    if hasattr(op, "set_model_config"):
        op.set_model_config(config)
    op.optimizer_parallel_size = 1
    for layer in range(c["num_hidden_layers"] if "{}" in op.mf_names[0] else 1):
        names = [re.sub(r"\{\}", str(layer), n, count=1) for n in op.hf_names]
        if all(n not in hf for n in names) and "{}" not in names[0]:
            continue  # a tied head
        weights = [np.concatenate([hf[n.format(e)] for e in range(c["num_experts"])]) if "{}" in n else hf[n] for n in names]
        for name, a in zip(op.mf_names, op._hf_to_mf(weights)):
            want[name.format(layer)] = a
bad = [n for n in want if n not in made or (made[n].dtype, made[n].shape) != (want[n].dtype, want[n].shape) or made[n].tobytes() != want[n].tobytes()]
print(f"checked {len(want)} parameters, {len(bad)} wrong {bad} {sorted(set(made) - set(want))}")
sys.exit(0 if want and not bad and set(made) == set(want) else 1)
