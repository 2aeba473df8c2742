# SPDX-License-Identifier: Apache-2.0
"""The tensors of a few families of models as Hugging Face has them, and what MindSpore Transformers makes of them: the renaming and
fusing of its loaders (convert_name, qkv_concat, weight_mapping, weight_converters) with numpy. Nothing here is shared with layout/."""
import re

import numpy as np

DTYPES = {"BF16": np.uint16, "F32": np.uint32, "F16": np.uint16}


class Family:
    """A random small model: `config` as config.json has it, `hf` name -> array of raw elements."""

    def __init__(self, rng, kind, dtype="BF16", **fixed):
        self.rng, self.kind, self.dtype, self.hf = rng, kind, dtype, {}
        groups, queries = rng.choice([1, 2, 3, 4]), rng.choice([1, 2, 3])
        dim = rng.choice([2, 4, 6])
        heads = groups * queries
        hidden = heads * dim if kind in ("llama", "qwen2") and rng.random() < 0.7 else rng.choice([4, 6, 12])
        self.config = {"model_type": kind, "num_hidden_layers": rng.choice([1, 2, 3, 11]), "num_attention_heads": heads, "num_key_value_heads": groups,
                       "hidden_size": hidden, "intermediate_size": rng.choice([1, 2, 5, 8]), "vocab_size": rng.choice([3, 8]),
                       "tie_word_embeddings": rng.random() < 0.3, "torch_dtype": "bfloat16", "rms_norm_eps": 1e-06}
        if hidden != heads * dim or rng.random() < 0.5:
            self.config["head_dim"] = dim
        if kind == "llama":
            self.config.update(attention_bias=rng.random() < 0.3, mlp_bias=rng.random() < 0.3)
        if kind == "qwen3_moe":
            self.config.update(num_experts=rng.choice([1, 2, 5]), moe_intermediate_size=rng.choice([1, 3, 4]), decoder_sparse_step=rng.choice([1, 1, 2, 3]),
                               mlp_only_layers=rng.sample(range(12), rng.choice([0, 0, 1, 4])), use_interleaved_weight_layout_mlp=rng.random() < 0.7)
        if kind == "deepseek_v3":
            layers = self.config["num_hidden_layers"]
            self.config.update(n_routed_experts=rng.choice([1, 2, 12]), moe_intermediate_size=rng.choice([1, 3]), first_k_dense_replace=rng.randint(0, layers),
                               num_nextn_predict_layers=rng.choice([0, 1]), moe_layer_freq=1, topk_method="noaux_tc")
        self.config.update(fixed)
        self.dim = dim = self.config.get("head_dim") or self.config["hidden_size"] // self.config["num_attention_heads"]
        self.q, self.kv = self.config["num_attention_heads"] * dim, self.config["num_key_value_heads"] * dim
        self.fill()

    @classmethod
    def of(cls, config, hf, dtype):
        """A model that there is already."""
        self = cls.__new__(cls)
        self.kind, self.config, self.hf, self.dtype = config["model_type"], config, hf, dtype
        return self

    def add(self, name, *shape):
        kind = DTYPES[self.dtype]
        count = int(np.prod(shape))
        data = self.rng.getrandbits(8 * count * kind().itemsize).to_bytes(count * kind().itemsize, "little")
        self.hf[name] = np.frombuffer(data, kind).reshape(shape)

    def mlp(self, at, ffn):
        h = self.config["hidden_size"]
        for name, shape in (("gate_proj", (ffn, h)), ("up_proj", (ffn, h)), ("down_proj", (h, ffn))):
            self.add(f"{at}.{name}.weight", *shape)
            if self.config.get("mlp_bias"):
                self.add(f"{at}.{name}.bias", shape[0])

    def attention(self, at):
        h = self.config["hidden_size"]
        for name, shape in (("q_proj", (self.q, h)), ("k_proj", (self.kv, h)), ("v_proj", (self.kv, h)), ("o_proj", (h, self.q))):
            self.add(f"{at}.{name}.weight", *shape)
            if self.config.get("attention_bias") or (self.kind == "qwen2" and name != "o_proj"):
                self.add(f"{at}.{name}.bias", shape[0])
        if self.kind.startswith("qwen3"):
            self.add(f"{at}.q_norm.weight", self.dim)
            self.add(f"{at}.k_norm.weight", self.dim)

    def latent_attention(self, at):
        h, low = self.config["hidden_size"], 3
        for name, shape in (("q_a_proj", (low, h)), ("q_a_layernorm", (low,)), ("q_b_proj", (self.q, low)), ("kv_a_proj_with_mqa", (low + 2, h)),
                            ("kv_a_layernorm", (low,)), ("kv_b_proj", (2 * self.q, low)), ("o_proj", (h, self.q))):
            self.add(f"{at}.{name}.weight", *shape)

    def experts(self, at):
        c = self.config
        self.add(f"{at}.gate.weight", c.get("num_experts") or c.get("n_routed_experts"), c["hidden_size"])
        for e in range(c.get("num_experts") or c.get("n_routed_experts")):
            self.mlp(f"{at}.experts.{e}", c["moe_intermediate_size"])
        if self.kind == "deepseek_v3":
            self.add(f"{at}.gate.e_score_correction_bias", c["n_routed_experts"])
            self.mlp(f"{at}.shared_experts", c["moe_intermediate_size"])

    def is_sparse(self, layer):
        """Whether a layer has experts, as the models of transformers decide it."""
        c = self.config
        if self.kind == "qwen3_moe":
            return layer not in c["mlp_only_layers"] and (layer + 1) % c["decoder_sparse_step"] == 0
        return self.kind == "deepseek_v3" and layer >= c["first_k_dense_replace"]

    def twins(self):
        """Second name -> first name of what Hugging Face's files have twice."""
        c, out = self.config, {}
        for n in range(c["num_hidden_layers"], c["num_hidden_layers"] + c.get("num_nextn_predict_layers", 0)):
            out[f"model.layers.{n}.embed_tokens.weight"] = "model.embed_tokens.weight"
            if not c["tie_word_embeddings"]:
                out[f"model.layers.{n}.shared_head.head.weight"] = "lm_head.weight"
        return out

    def fill(self):
        c = self.config
        h, layers = c["hidden_size"], c["num_hidden_layers"]
        self.add("model.embed_tokens.weight", c["vocab_size"], h)
        for n in range(layers + c.get("num_nextn_predict_layers", 0)):
            at = f"model.layers.{n}"
            for norm in ("input_layernorm", "post_attention_layernorm"):
                self.add(f"{at}.{norm}.weight", h)
            (self.latent_attention if self.kind == "deepseek_v3" else self.attention)(f"{at}.self_attn")
            if n >= layers or self.is_sparse(n):
                self.experts(f"{at}.mlp")
            else:
                self.mlp(f"{at}.mlp", c["intermediate_size"])
            if n >= layers:
                for name, shape in (("enorm", (h,)), ("hnorm", (h,)), ("eh_proj", (h, 2 * h)), ("shared_head.norm", (h,))):
                    self.add(f"{at}.{name}.weight", *shape)
        self.add("model.norm.weight", h)
        if not c["tie_word_embeddings"]:
            self.add("lm_head.weight", c["vocab_size"], h)
        for second, first in self.twins().items():
            self.hf[second] = self.hf[first]

    def prefixed(self, layer, names):
        return [self.hf.get(f"model.layers.{layer}.{n}") for n in names]

    def qkv(self, layer, ending):
        """Of each group its queries, its key and its value, as qkv_concat_hf2mg and QKVConvertOp have them."""
        q, k, v = self.prefixed(layer, [f"self_attn.{p}_proj.{ending}" for p in "qkv"])
        ng = self.config["num_key_value_heads"]
        parts = [x.reshape(ng, x.shape[0] // ng, -1) for x in (q, k, v)]
        return np.concatenate(parts, axis=1).reshape(-1, *q.shape[1:])

    def gate_up(self, layer, ending, in_turns):
        gate, up = self.prefixed(layer, [f"mlp.{p}_proj.{ending}" for p in ("gate", "up")])
        if not in_turns:
            return np.concatenate([gate, up])
        both = np.empty((2 * len(gate), *gate.shape[1:]), gate.dtype)
        both[0::2], both[1::2] = gate, up
        return both

    def stacked(self, layer):
        """experts.weight1 and weight2."""
        of = lambda name: np.stack([self.hf[f"model.layers.{layer}.mlp.experts.{e}.{name}_proj.weight"] for e in range(self.config["num_experts"])])
        one = np.concatenate([of("gate").transpose(0, 2, 1), of("up").transpose(0, 2, 1)], axis=2)
        two = of("down").transpose(0, 2, 1)
        return one.reshape(-1, one.shape[2]), two.reshape(-1, two.shape[2])

    def legacy(self, concat=False):
        out = {legacy_name(n): a for n, a in self.hf.items()}
        for n in range(self.config["num_hidden_layers"]) if concat else ():
            at = f"model.layers.{n}"
            for ending in ("weight", "bias"):
                if f"{at}.attention.wq.{ending}" in out:
                    out[f"{at}.attention.w_qkv.{ending}"] = self.qkv(n, ending)
                if f"{at}.feed_forward.w1.{ending}" in out:
                    out[f"{at}.feed_forward.w_gate_hidden.{ending}"] = self.gate_up(n, ending, True)
        return {n: a for n, a in out.items() if not concat or not re.search(r"\.(wq|wk|wv|w1|w3)\.", n)}

    def mcore(self):
        return {mcore_name(n, self.config["num_hidden_layers"]): a for n, a in self.hf.items() if n not in self.twins()}

    def mcore_train(self, in_turns=True):
        out = self.mcore()
        for n in range(self.config["num_hidden_layers"]):
            at = f"decoder.layers.{n}"
            out[f"{at}.self_attention.linear_qkv.weight"] = self.qkv(n, "weight")
            if self.is_sparse(n):
                out[f"{at}.mlp.experts.weight1"], out[f"{at}.mlp.experts.weight2"] = self.stacked(n)
            else:
                out[f"{at}.mlp.linear_fc1.weight"] = self.gate_up(n, "weight", in_turns)
        return {n: a for n, a in out.items() if not re.search(r"linear_[qkv]\.|\.gating\.|\.hidden\.|experts\.\d+\.", n)}


def replaced(name, pairs):
    for a, b in pairs:
        name = name.replace(a, b)
    return name


def legacy_name(name):
    return replaced(name, [("embed_tokens.weight", "tok_embeddings.embedding_weight"), (".self_attn.q_proj.", ".attention.wq."),
                           (".self_attn.k_proj.", ".attention.wk."), (".self_attn.v_proj.", ".attention.wv."), (".self_attn.o_proj.", ".attention.wo."),
                           (".mlp.gate_proj.", ".feed_forward.w1."), (".mlp.down_proj.", ".feed_forward.w2."), (".mlp.up_proj.", ".feed_forward.w3."),
                           (".input_layernorm.", ".attention_norm."), (".post_attention_layernorm.", ".ffn_norm."), (".norm.", ".norm_out.")])


def mcore_name(name, layers):
    """The weight_mapping lists in one, for none contradicts another; layer `layers` predicts one more token."""
    attention = [("q_a_proj", "linear_q_down_proj"), ("q_a_layernorm", "q_layernorm"), ("q_b_proj", "linear_q_up_proj"),
                 ("kv_a_proj_with_mqa", "linear_kv_down_proj"), ("kv_a_layernorm", "kv_layernorm"), ("kv_b_proj", "linear_kv_up_proj"),
                 ("q_proj", "linear_q"), ("k_proj", "linear_k"), ("v_proj", "linear_v"), ("o_proj", "linear_proj"), ("q_norm", "q_layernorm"),
                 ("k_norm", "k_layernorm")]
    return replaced(name, [("model.embed_tokens.", "embedding.word_embeddings."), *((f".self_attn.{a}.", f".self_attention.{b}.") for a, b in attention),
                           (".gate.weight", ".router.weight"), (".gate.e_score_correction_bias", ".router.expert_bias"), (".gate_proj.", ".gating."),
                           (".down_proj.", ".linear_fc2."), (".up_proj.", ".hidden."), (".post_attention_layernorm.", ".pre_mlp_layernorm."),
                           ("model.norm.", "decoder.final_layernorm."), ("lm_head.", "output_layer."), (f"model.layers.{layers}.enorm.", "decoder.enorm."),
                           (f"model.layers.{layers}.hnorm.", "decoder.hnorm."), (f"model.layers.{layers}.eh_proj.", "decoder.eh_proj."),
                           (f"model.layers.{layers}.shared_head.norm.", "mtp.layers.0.final_layernorm."),
                           (f"model.layers.{layers}.", "decoder.transformer."), ("model.layers.", "decoder.layers.")])


def as_files(arrays, dtype):
    """What safefile writes."""
    return {n: (dtype, list(a.shape), np.ascontiguousarray(a).tobytes()) for n, a in arrays.items()}
