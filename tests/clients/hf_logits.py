"""argv: make KIND OUT | logits DIR. With transformers and torch: writes a tiny model of random weights in several parts; loads a
directory and prints a digest of its logits and of all its parameters."""
import hashlib
import sys

import torch
import transformers as t

TINY = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=64)
KINDS = {"llama": (t.LlamaConfig, {}), "qwen2": (t.Qwen2Config, dict(tie_word_embeddings=True)), "mixtral": (t.MixtralConfig, dict(num_local_experts=4))}

if sys.argv[1] == "make":
    kind, more = KINDS[sys.argv[2]]
    torch.manual_seed(1)
    t.AutoModelForCausalLM.from_config(kind(**TINY, **more)).save_pretrained(sys.argv[3], max_shard_size="20KB")
else:
    model, info = t.AutoModelForCausalLM.from_pretrained(sys.argv[2], output_loading_info=True)
    assert not any(info.values()), info
    with torch.no_grad():
        logits = model(torch.tensor([[1, 5, 9, 2, 60, 33]])).logits
    digest = hashlib.sha256(logits.numpy().tobytes())
    for name, p in sorted(model.state_dict().items()):
        digest.update(name.encode() + p.numpy().tobytes())
    assert logits.shape == (1, 6, 64) and logits.std() > 0, logits
    print("digest", digest.hexdigest())
