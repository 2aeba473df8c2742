#!/usr/bin/env python3
"""oracle.py - ground truth for gatherfs, produced with the REAL MindSpore.

usage:  oracle.py list
        oracle.py CASE|all  OUTDIR  [--st 0.7.0|venv] [--numpy 1.26.4|venv] [--native-glob] [-q]

For every case the program
  1. makes `full` tensors: bytes = SHAKE-256("gatherfs-oracle:<case>:<tensor>") (BOOL: &1);
  2. slices them with the independent algebra below (slice_of), never with MindSpore code;
  3. writes  OUT/CASE/src/rank_<r>/<prefix>_rank_<r>-<epoch>_<step>.safetensors   (the shards)
             OUT/CASE/strategy/<src|dst>/ckpt_strategy_rank_<r>.ckpt|.json        (one per rank)
             OUT/CASE/strategy/<src|dst>_merged.ckpt|.json (ms.parallel.merge_pipeline_strategys)
  4. runs real MindSpore into OUT/CASE/ms/<op>/...;
  5. compares MindSpore's result with the truth and writes OUT/CASE/expected.json.

expected.json = {case, group, about, versions, inputs{path:{size,sha256}}, full{name:DIGEST},
                 hyper{name:DIGEST}, layouts{src,dst}, ops:[OP...]}
  DIGEST = {dtype, shape, nbytes, sha256, xxh3_64}
  OP = {op, args, status: ok|error, error, agrees: true|false|null, problems:[...],
        truth:{file:{name:DIGEST}}  (what a right implementation must serve; our own algebra),
        files:{file:{size, sha256, metadata, order:[names in data order], data_start, tensors{}}},
        texts:{file: exact text of json files}}
`agrees` says whether MindSpore's bytes equal our truth.  Where they differ (MindSpore bugs) the case
carries `bug`, a sentence; the filesystem should serve `truth`, and may offer a bug-compatible mode.

Things done to MindSpore to make the run deterministic, and possible on a busy host:
  * glob.glob inside transform_safetensors is sorted by rank number (--native-glob: off), because the
    order of directory entries decides ties in part balancing and the key order in param_name_map.json;
  * psutil.virtual_memory().percent is faked to 0 there (it sleeps for ever while >50% of RAM is used);
  * `part_limit` cases replace the 3 GiB constant by scaling math.ceil's argument, nothing else;
  * safetensors 0.7.0 is put before the venv's 0.8.0 (0.8.0 corrupts non-contiguous arrays), and
    numpy 1.26.4 before the venv's 2.4.6 (with numpy 2 this MindSpore wheel cannot read BF16 at all).
"""
import sys, os

_ST, _NP = "0.7.0", "1.26.4"
for _i, _a in enumerate(sys.argv):
    if _a == "--st":
        _ST = sys.argv[_i + 1]
    if _a == "--numpy":
        _NP = sys.argv[_i + 1]
HERE = os.path.dirname(os.path.abspath(__file__))
if _ST != "venv":
    _p = os.path.join(HERE, "st", _ST)
    if not os.path.isdir(_p):
        sys.exit(f"need: pip install --no-deps --target {_p} safetensors=={_ST}")
    sys.path.insert(0, _p)
if _NP != "venv":
    _p = os.path.join(HERE, "st", "numpy-" + _NP)
    if not os.path.isdir(_p):
        sys.exit(f"need: pip install --no-deps --target {_p} numpy=={_NP}")
    sys.path.insert(0, _p)
os.environ.setdefault("GLOG_v", "3")

import argparse, copy, glob as _glob, hashlib, itertools, json, math, re, shutil, stat, struct, time, traceback
import numpy as np

try:
    import xxhash
except ImportError:
    xxhash = None

# ----------------------------------------------------------------------------------------------
# 1. the layout algebra (independent of MindSpore)
# ----------------------------------------------------------------------------------------------
DT = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2,
      "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
MSNAME = {"F64": "Float64", "F32": "Float32", "F16": "Float16", "BF16": "BFloat16", "I64": "Int64", "U64": "UInt64",
          "I32": "Int32", "U32": "UInt32", "I16": "Int16", "U16": "UInt16", "I8": "Int8", "U8": "UInt8",
          "BOOL": "Bool"}
# writer alignment rank: safetensors sorts by dtype (enum order, wider first), then by name
ST_DTYPE_ORDER = ["BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "I16", "U16",
                  "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64"]


class Lay:
    """One parameter's layout. tmap: per tensor axis an int (-1 = whole) or a list of ints (nested, Layout)."""

    def __init__(self, dev, tmap, step=0, size=0):
        self.dev, self.tmap, self.step, self.size = list(dev), list(tmap), step, size

    def json(self):
        return {"dev_matrix": self.dev, "tensor_map": self.tmap, "opt_weight_shard_step": self.step,
                "opt_weight_shard_size": self.size}

    @property
    def nested(self):
        return any(isinstance(t, list) for t in self.tmap)

    def used_dims(self):
        """positions in dev (from the left) that split some axis"""
        return {len(self.dev) - 1 - e for t in self.tmap for e in (t if isinstance(t, list) else [t]) if e >= 0}

    def axis_parts(self):
        out = []
        for t in self.tmap:
            n = 1
            for e in (t if isinstance(t, list) else [t]):
                if e >= 0:
                    n *= self.dev[-1 - e]
            out.append(n)
        return out

    def opt(self):
        """number of optimizer shards of axis 0 (1 = off)"""
        if self.step == 0 or self.size == 0:
            return 1
        rep = math.prod(self.dev) // math.prod(self.axis_parts())
        return rep if self.size == -1 else self.size

    def with_opt(self, size=-1):
        """this layout with optimizer sharding, step as MindSpore's C++ writes it (stride of the fastest
        repeated device axis)"""
        used = self.used_dims()
        rep = [i for i, d in enumerate(self.dev) if i not in used and d > 1]
        if not rep:
            return self
        return Lay(self.dev, self.tmap, math.prod(self.dev[rep[-1] + 1:]), size)


def coords(rank, dev):
    """row-major: last dev axis varies fastest"""
    c = []
    for d in reversed(dev):
        c.append(rank % d)
        rank //= d
    return c[::-1]


def slice_of(lay, shape, lrank):
    """(index tuple, replica number) of local rank `lrank` (rank inside its stage) for a tensor of `shape`."""
    dev, c = lay.dev, coords(lrank, lay.dev)
    n, idx = len(dev), []
    for axis, t in enumerate(lay.tmap):
        parts, b = 1, 0
        for e in (t if isinstance(t, list) else [t]):  # nested: first listed device axis is the most significant
            if e >= 0:
                b = b * dev[n - 1 - e] + c[n - 1 - e]
                parts *= dev[n - 1 - e]
        assert shape[axis] % parts == 0, (shape, lay.json())
        w = shape[axis] // parts
        idx.append([b * w, (b + 1) * w])
    used = lay.used_dims()
    p = 0  # number of this rank among the ranks that hold the same model-parallel block, in rank order
    for i in range(n):
        if i not in used:
            p = p * dev[i] + c[i]
    s = lay.opt()
    if s > 1:
        lo, hi = idx[0]
        assert (hi - lo) % s == 0, (shape, lay.json())
        w = (hi - lo) // s
        o = p % s
        idx[0] = [lo + o * w, lo + (o + 1) * w]
    return tuple(slice(a, b) for a, b in idx), p // s


# ----------------------------------------------------------------------------------------------
# 2. cases: parameters, strategies
# ----------------------------------------------------------------------------------------------
class Param:
    def __init__(self, name, shape, dtype="F32"):
        self.name, self.shape, self.dtype = name, tuple(shape), dtype


class Spec:
    """A strategy: per stage {param: Lay}; every stage has `per` ranks; ranks of stage s are s*per..s*per+per-1"""

    def __init__(self, stages, per):
        self.stages, self.per = stages, per

    @property
    def world(self):
        return self.per * len(self.stages)

    def json(self):
        return [{k: v.json() for k, v in s.items()} for s in self.stages]


class Case:
    def __init__(self, name, group, about, params, src, dst=None, hyper=(), ops=None, **kw):
        self.name, self.group, self.about, self.params, self.src, self.dst = name, group, about, params, src, dst
        self.hyper = list(hyper)
        self.ops = ops if ops is not None else ([("unified", {})] + ([("dist", {}), ("reshard", {})] if dst else []))
        self.prefix, self.epoch, self.step = "net", 1, 10
        self.extra_files = []      # [(filename pattern, salt)] more checkpoints in each rank dir
        self.poison = False        # replicas > 0 get different bytes
        self.dedup = False         # remove_redundancy
        self.json_strategy = False
        self.ranks = None          # subset of ranks that have a directory
        self.real = None           # strategy files come from real_strategies/<list>, one per stage
        self.bug = None
        self.expect_error = None
        self.metadata = None
        self.hyper_by_rank = False
        self.junk = False
        self.__dict__.update(kw)


def tp_lay(name, ndim, dp, tp, dev=None):
    """Megatron-like choice by name; dev_matrix [dp,tp]: tensor_map 0 = tp, 1 = dp"""
    dev = dev or [dp, tp]
    m = [-1] * ndim
    if re.search(r"(wq|w1|bias|embedding_table|lm_head)", name):
        m[0] = 0
    elif re.search(r"(wo|w2)", name):
        m[1] = 0
    elif "both" in name:
        m[0], m[1] = 1, 0
    elif "experts" in name:
        m[0], m[-1] = 1, 0
    elif "conv" in name:
        m[0], m[1] = 0, 1
    return Lay(dev, m)


def llm_params(layers, h=16, f=32, v=32, dtype="F32", opt_state=False, norm="norm.gain", bias=True, extra=()):
    ps = [Param("model.embedding_table", (v, h), dtype)]
    for i in range(layers):
        L = f"model.layers.{i}."
        ps += [Param(L + "attn.wq.weight", (h, h), dtype), Param(L + "attn.wo.weight", (h, h), dtype),
               Param(L + "ffn.w1.weight", (f, h), dtype), Param(L + "ffn.w2.weight", (h, f), dtype),
               Param(L + norm, (h,), dtype)]
        if bias:
            ps.append(Param(L + "ffn.bias", (f,), dtype))
    ps += [Param("model.norm_out.gain", (h,), dtype), Param("model.lm_head.weight", (v, h), dtype)]
    ps += list(extra)
    if opt_state:
        ps += [Param(pre + p.name, p.shape, "F32") for pre in ("adam_m.", "adam_v.") for p in list(ps)]
    return ps


def llm_spec(params, layers, dp, tp, pp=1, opt=0, shared=(), dev=None):
    """opt: 0 off, -1 all, k group size.  shared: names present in first and last stage"""
    stages = [dict() for _ in range(pp)]
    for p in params:
        lay = tp_lay(p.name, len(p.shape), dp, tp, dev)
        if opt:
            o = lay.with_opt(opt)
            if o.opt() > 1 and (p.shape[0] // lay.axis_parts()[0]) % o.opt() == 0:
                lay = o
        m = re.search(r"layers\.(\d+)\.", p.name)
        if m:
            st = [int(m.group(1)) * pp // layers]
        elif "embedding_table" in p.name:
            st = [0]
        else:
            st = [pp - 1]
        if any(p.name.endswith(s) for s in shared):
            st = sorted({0, pp - 1})
        for s in st:
            stages[s][p.name] = lay
    return Spec(stages, math.prod(dev or [dp, tp]))


HYP = [Param("global_step", (), "I32"), Param("learning_rate", (), "F32"), Param("epoch_num", (1,), "I32"),
       Param("step_num", (1,), "I64"), Param("loss_scale", (1,), "F32")]
CASES = []


def case(*a, **k):
    CASES.append(Case(*a, **k))


def one(dev, **lays):
    """single-stage Spec from name -> (tmap[,step,size])"""
    return Spec([{k.replace("__", "."): Lay(dev, *v) for k, v in lays.items()}], math.prod(dev))


def define_cases():
    P = Param
    # ------------------------------------------------------------------ DEV: TP only
    case("tp4_basic", "dev", "TP 4: row, column, replicated, 1-D, 3-D, 4-D; scalar hyper params; unify + split back",
         [P("row.weight", (16, 24)), P("col.weight", (16, 24)), P("norm.gain", (24,)), P("bias", (16,)),
          P("t3.axis1", (3, 8, 5)), P("t4.axis3", (2, 3, 5, 8)), P("t4.axis0", (8, 3, 2, 2))],
         one([4], row__weight=([0, -1],), col__weight=([-1, 0],), norm__gain=([-1],), bias=([0],),
             t3__axis1=([-1, 0, -1],), t4__axis3=([-1, -1, -1, 0],), t4__axis0=([0, -1, -1, -1],)),
         one([4], row__weight=([0, -1],), col__weight=([-1, 0],), norm__gain=([-1],), bias=([0],),
             t3__axis1=([-1, 0, -1],), t4__axis3=([-1, -1, -1, 0],), t4__axis0=([0, -1, -1, -1],)),
         hyper=HYP, ops=[("unified", {}), ("dist", {}), ("unified", {"merged": True})])
    case("tp_both_dims", "dev", "[2,4] mesh, weights cut on two axes at once, plain and swapped maps, 3-D and 4-D",
         [P("w.01", (8, 16)), P("w.10", (8, 16)), P("t3", (4, 6, 8)), P("t4", (4, 2, 8, 3)), P("t4b", (2, 8, 4, 2))],
         one([2, 4], w__01=([1, 0],), w__10=([0, 1],), t3=([1, -1, 0],), t4=([0, 1, -1, -1],), t4b=([-1, 0, 1, -1],)),
         one([2, 4], w__01=([0, 1],), w__10=([1, 0],), t3=([0, 1, -1],), t4=([1, -1, 0, -1],), t4b=([1, 0, -1, -1],)),
         hyper=HYP[:2])
    ps = llm_params(2)
    case("dp2tp4", "dev", "DP2 x TP4 small LLM; replicas equal", ps, llm_spec(ps, 2, 2, 4), llm_spec(ps, 2, 4, 2), hyper=HYP)
    case("dp2tp4_poison", "dev", "as dp2tp4 but every replica except number 0 holds different bytes: shows which is read",
         ps, llm_spec(ps, 2, 2, 4), hyper=HYP, poison=True)
    case("dp4_opt", "dev", "DP4, optimizer sharding size -1 step 1", [P("w", (16, 6)), P("b", (8,)), P("k", (4, 2, 3, 3)), P("odd", (3, 5)), P("w1", (16, 6))],
         one([4], w=([-1, -1], 1, -1), b=([-1], 1, -1), k=([-1, -1, -1, -1], 1, -1), odd=([-1, -1],), w1=([-1, -1], 1, 2)),
         one([4], w=([-1, -1],), b=([0],), k=([0, -1, -1, -1],), odd=([-1, -1],), w1=([-1, -1], 1, 4)), hyper=HYP[:2])
    case("dp4tp2_opt_all", "dev", "DP4 x TP2, opt shard -1, step = tp", ps, llm_spec(ps, 2, 4, 2, opt=-1),
         llm_spec(ps, 2, 4, 2), hyper=HYP[:3])
    case("dp4tp2_opt_part", "dev", "DP4 x TP2, opt shard groups of 2 (partial): 2 replicas remain; poisoned replicas",
         ps, llm_spec(ps, 2, 4, 2, opt=2), llm_spec(ps, 2, 2, 4, opt=-1), hyper=HYP[:2], poison=True,
         ops=[("unified", {}), ("dist", {})])
    case("opt_multi_axis", "dev", "opt shard over two separate repeated device axes, [2,4,2] mesh, axis 0 cut by the middle one",
         [P("w", (32, 6)), P("w_m2", (32, 6)), P("full", (32, 4)), P("c", (16, 8))],
         one([2, 4, 2], w=([1, -1], 1, -1), w_m2=([1, -1], 1, 2), full=([-1, -1], 1, -1), c=([-1, 1], 1, 2)),
         one([16], w=([0, -1],), w_m2=([-1, -1],), full=([0, -1],), c=([-1, -1], 1, 4)))
    ps4 = llm_params(4)
    case("pp2", "dev", "PP2 x DP2 x TP2, embedding_table shared by both stages", ps4, llm_spec(ps4, 4, 2, 2, 2, shared=("embedding_table",)),
         llm_spec(ps4, 4, 2, 2, 1), hyper=HYP[:2])
    case("pp4_shared", "dev", "PP4 x TP2, shared embedding, adam_m/adam_v states",
         llm_params(4, opt_state=True), llm_spec(llm_params(4, opt_state=True), 4, 1, 2, 4, shared=("embedding_table",)), hyper=HYP,
         ops=[("unified", {})])
    case("pp_1_to_2", "dev", "reshard PP1 -> PP2", ps4, llm_spec(ps4, 4, 2, 2, 1), llm_spec(ps4, 4, 1, 2, 2), hyper=HYP[:2])
    # nested
    nest_src = Spec([{"w": Lay([2, 2, 2], [[2, 0], [-1]]), "w2": Lay([2, 2, 2], [[1], [2, 0]]), "b": Lay([2, 2, 2], [[2, 1]]),
                      "plain": Lay([2, 2, 2], [0, 1]), "b3": Lay([2, 2, 2], [[2, 1, 0]]), "t3": Lay([2, 2, 2], [[-1], [0, 2], [1]])}], 8)
    nest_dst = Spec([{"w": Lay([2, 4], [1, 0]), "w2": Lay([8], [0, -1]), "b": Lay([8], [-1]), "plain": Lay([2, 2, 2], [[1, 0], [2]]),
                      "b3": Lay([2, 4], [1]), "t3": Lay([2, 4], [-1, 0, 1])}], 8)
    nest_p = [P("w", (16, 8)), P("w2", (8, 16)), P("b", (16,)), P("plain", (8, 8)), P("b3", (24,)), P("t3", (3, 8, 4))]
    case("nested_map", "dev", "Layout: one tensor axis over several device axes (several TensorMap entries; 1-D gets an empty second entry)",
         nest_p, nest_src, nest_dst, hyper=HYP[:1])
    case("nested_opt", "dev", "nested maps with optimizer sharding, as in the real layout_opt strategy",
         [P("net.w2", (64, 32)), P("net.b", (64,)), P("net.w", (64, 32)), P("net.g", (64,))],
         Spec([{"net.w2": Lay([2, 2, 2], [[1, 0], [-1]], 4, -1), "net.b": Lay([2, 2, 2], [[1, 0]], 4, -1),
                "net.w": Lay([2, 2, 2], [-1, 0], 2, -1), "net.g": Lay([2, 2, 2], [-1], 1, -1)}], 8),
         Spec([{"net.w2": Lay([8], [0, -1]), "net.b": Lay([8], [0]), "net.w": Lay([8], [-1, 0]), "net.g": Lay([8], [-1])}], 8))
    # dtypes
    dts = ["F32", "F16", "BF16", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL", "F64"]
    dparams = [P("p." + d.lower(), (8, 5), d) for d in dts] + [P("q." + d.lower(), (4, 8), d) for d in dts]
    dl = lambda dp, tp: Spec([{p.name: (Lay([dp, tp], [0, -1]) if p.name[0] == "p" else Lay([dp, tp], [-1, 0])) for p in dparams}], dp * tp)
    case("dtypes", "dev", "13 dtypes, row and column cuts, odd sizes -> alignment order in the header", dparams, dl(1, 2), dl(2, 2),
         hyper=[P("h." + d.lower(), (3,), d) for d in dts])
    case("dtype_f8", "dev", "float8: MindSpore's reader has no such dtype", [P("w", (8, 8), "F8_E4M3"), P("v", (8,), "F32")],
         one([2], w=([0, -1],), v=([-1],)), expect_error="F8", ops=[("unified", {})])
    # names, accu_grads, files
    case("accu_grads", "dev", "accu_grads.* in the strategy are not unified: rank 0's slice lands in hyper_param",
         [P("w", (8, 4)), P("accu_grads.w", (8, 4)), P("adam_m.w", (8, 4)), P("adam_v.w", (8, 4))],
         one([2, 2], w=([0, -1], 2, -1), accu_grads__w=([0, -1], 2, -1), adam_m__w=([0, -1], 2, -1), adam_v__w=([0, -1],)),
         hyper=HYP[:2], ops=[("unified", {})])
    fs = [("{p}_rank_{r}-1_5.safetensors", 1), ("{p}_rank_{r}-2_3.safetensors", 2), ("{p}_rank_{r}_1-1_10.safetensors", 3),
          ("{p}_rank_{r}-9_9.safetensors", 4)]
    case("suffix", "dev", "several steps and a _1 task suffix in each rank directory; file_suffix None, 1_5, -1_10, _1-1_10, 2_3",
         ps[:4], llm_spec(ps[:4], 2, 1, 2), hyper=HYP[:2], extra_files=fs,
         ops=[("unified", {}), ("unified", {"file_suffix": "1_5"}), ("unified", {"file_suffix": "-1_10"}),
              ("unified", {"file_suffix": "_1-1_10"}), ("unified", {"file_suffix": "2_3"}), ("unified", {"file_suffix": "7_7"}),
              ("unified", {"file_suffix": "10"}), ("unified", {"file_suffix": "3"})])
    case("json_strategy", "dev", "JSON strategy files, plain maps only", ps, llm_spec(ps, 2, 2, 2, opt=-1), llm_spec(ps, 2, 1, 4), hyper=HYP[:2],
         json_strategy=True)
    case("gap_ranks", "dev", "DP4xTP2, only the rank directories MindSpore needs (replica 0 = ranks 0,1) and rank 7 exist",
         ps, llm_spec(ps, 2, 4, 2), hyper=HYP[:2], ranks=[0, 1, 7], junk=True, ops=[("unified", {})])
    case("missing_rank", "dev", "TP4 with rank 2 missing: MindSpore refuses", ps, llm_spec(ps, 2, 1, 4), ranks=[0, 1, 3],
         expect_error="rank2 is needed", ops=[("unified", {})])
    moe = [P("moe.experts.w1", (8, 6, 16), "BF16"), P("moe.experts.w2", (8, 16, 6), "BF16"), P("moe.router", (6, 8)), P("shared_experts.bias", (8, 4))]
    ml = lambda ep, tp, **k: Spec([{"moe.experts.w1": Lay([ep, tp], [1, -1, 0]), "moe.experts.w2": Lay([ep, tp], [1, 0, -1]),
                                    "moe.router": Lay([ep, tp], [-1, -1]), "shared_experts.bias": Lay([ep, tp], [1, 0])}], ep * tp)
    case("moe_ep", "dev", "expert-parallel 3-D weights, ep4 x tp2 -> ep2 x tp4", moe, ml(4, 2), ml(2, 4), hyper=HYP[:1])
    case("dedup", "dev", "remove_redundancy=True: every block is kept by one rank of its redundancy group (real remove_param_redundancy)",
         ps, llm_spec(ps, 2, 2, 4), hyper=HYP[:2], dedup=True, ops=[("unified", {"merge_with_redundancy": False}), ("unified", {})])
    case("parts", "dev", "part splitting with the 3 GiB limit scaled to 16 KiB: greedy balancing, name map",
         llm_params(3, 32, 64, 64), llm_spec(llm_params(3, 32, 64, 64), 3, 1, 4), llm_spec(llm_params(3, 32, 64, 64), 3, 1, 2),
         hyper=HYP, ops=[("unified", {"part_limit": 16384}), ("dist", {})])
    case("empty_tensors", "dev", "tensors with a zero dimension, in and out of the strategy",
         [P("w", (8, 4)), P("z0", (0, 4)), P("z1", (4, 0)), P("big0", (0,))],
         one([2], w=([0, -1],), z0=([0, -1],), z1=([0, -1],), big0=([-1],)), hyper=[P("hz", (0, 3)), P("s", ())], ops=[("unified", {})],
         expect_error="cannot reshape array of size 0")
    case("empty_hyper", "dev", "zero-size tensors outside the strategy work", [P("w", (8, 4))], one([2], w=([0, -1],)), one([2], w=([-1, 0],)),
         hyper=[P("hz", (0, 3)), P("s", ()), P("hz2", (2, 0), "BF16")])
    case("scalar_in_strategy", "dev", "0-d parameter listed in the strategy (empty tensor_map)", [P("w", (8, 4)), P("s0", ())],
         one([2], w=([0, -1],), s0=([],)), ops=[("unified", {})])
    case("name_dash", "dev", "a parameter name with '-': MindSpore splits names at '-' and fails", [P("layer-norm.w", (8, 4)), P("b", (4,))],
         Spec([{"layer-norm.w": Lay([2], [0, -1]), "b": Lay([2], [-1])}], 2), expect_error="Convert layout strategy", ops=[("unified", {})])
    case("opt_permuted", "dev", "opt shard on a weight whose tensor_map is out of device order ([0,1] on [2,2,2])",
         [P("w", (16, 8)), P("ok", (16, 8))], one([2, 2, 4], w=([0, 1], 8, -1), ok=([1, 0], 8, -1)),
         one([2, 2, 4], w=([-1, -1],), ok=([-1, -1],)),
         bug="MindSpore's unify/reshard rebuild the device matrix in tensor-axis order, so the blocks of 'w' come out permuted; "
             "its own training-time slicer (_load_tensor) agrees with our truth")
    for a, b in (("tp2", "tp4"), ("tp4", "tp2")):
        q = llm_params(2, dtype="BF16")
        case(f"{a}_to_{b}", "dev", f"reshard {a} -> {b}, bf16", q, llm_spec(q, 2, 1, int(a[2])), llm_spec(q, 2, 1, int(b[2])), hyper=HYP[:2])
    case("opt_on_off", "dev", "reshard opt shard on -> off and a third layout", ps, llm_spec(ps, 2, 4, 2, opt=-1), llm_spec(ps, 2, 2, 2), hyper=HYP[:2])
    case("opt_off_on", "dev", "reshard opt shard off -> on", ps, llm_spec(ps, 2, 2, 2), llm_spec(ps, 2, 4, 2, opt=-1), hyper=HYP[:2])
    case("choice_func", "dev", "choice_func renames *.w1.weight and drops *bias", ps, llm_spec(ps, 2, 1, 2), hyper=HYP[:2],
         ops=[("unified", {"choice": True})])
    case("name_map_dist", "dev", "rank_id given: only that rank is written; predict_strategy None: whole file", ps, llm_spec(ps, 2, 1, 2),
         llm_spec(ps, 2, 1, 4), hyper=HYP[:2], ops=[("unified", {}), ("dist", {"rank_id": 2}), ("dist", {"nodst": True})])
    # real strategy files
    for nm, files in (("real_stack_tp", ["stack_dp2mp4.ckpt"]), ("real_stack_pp2_opt", ["stack_pp2_opt2_stage0.ckpt", "stack_pp2_opt2_stage1.ckpt"]),
                      ("real_layout_opt", ["layout_opt.ckpt"]), ("real_moe", ["moe_mp2.ckpt"])):
        case(nm, "dev", "strategy file(s) written by MindSpore's own compiler", None, None, real=files, hyper=HYP[:2], ops=[("unified", {})])
    case("hyper_by_rank", "dev", "hyper params differ from rank to rank: unify takes rank 0's file, PP2", ps4, llm_spec(ps4, 4, 1, 2, 2), hyper=HYP, hyper_by_rank=True,
         ops=[("unified", {})])
    case("int4_meta", "dev", "int4 as MindSpore stores it: dtype I8 plus metadata {name: Int4}; unify and dist keep it, reshard drops it",
         [P("w", (8, 4), "I8"), P("v", (8, 4))], one([2], w=([0, -1],), v=([-1, 0],)), one([2], w=([-1, 0],), v=([0, -1],)),
         metadata={"format": "ms", "w": "Int4"})
    case("shared_diff", "dev", "a shared parameter cut in stage 0 and whole in stage 1, and the other way round", [P("emb", (8, 4)), P("head", (8, 4)), P("a", (8, 4)), P("b", (8, 4))],
         Spec([{"emb": Lay([2], [0, -1]), "head": Lay([2], [-1, -1]), "a": Lay([2], [0, -1])}, {"emb": Lay([2], [-1, -1]), "head": Lay([2], [-1, 0]), "b": Lay([2], [0, -1])}], 2),
         ops=[("unified", {})])
    case("nested_merge_false", "dev", "nested map, full files, merge_with_redundancy=False", [P("w", (8, 8)), P("v", (8, 8))],
         Spec([{"w": Lay([2, 2, 2], [[-1], [2, 0]]), "v": Lay([2, 2, 2], [2, 0])}], 8), ops=[("unified", {"merge_with_redundancy": False}), ("unified", {})],
         bug="get_parameter_redundancy looks at the first TensorMap entry only: wrong bytes when merge_with_redundancy=False")
    case("dedup_own", "dev", "redundancy removed with another choice of keepers", ps, llm_spec(ps, 2, 4, 2), hyper=HYP[:1], dedup="own", ops=[("unified", {})])
    # ckpt conversion
    case("ckpt_conv", "dev", ".ckpt shards -> ms.ckpt_to_safetensors", ps, llm_spec(ps, 2, 1, 2), hyper=HYP[:4], ops=[("ckpt2st", {})])
    case("ckpt_dtypes", "dev", ".ckpt of all dtypes, str entry, slices", [P(p.name, p.shape, p.dtype) for p in dparams], dl(1, 2), ops=[("ckpt2st", {})])
    # ------------------------------------------------------------------ big-count / big-world
    many = [P(f"blk.{i:04d}.{'w1' if i % 3 == 0 else 'w2' if i % 3 == 1 else 'g'}", (8, 8) if i % 3 < 2 else (8,), "F32" if i % 5 else "BF16") for i in range(2000)]
    case("many2000", "dev", "2,000 parameters x 8 ranks (dp2 tp4)", many, llm_spec(many, 1, 2, 4), llm_spec(many, 1, 1, 2), hyper=HYP,
         ops=[("unified", {}), ("dist", {"rank_id": 1})])


# ----------------------------------------------------------------------------------------------
# 3. bytes, files
# ----------------------------------------------------------------------------------------------
def content(case_name, p, salt=0):
    n = math.prod(p.shape) * DT[p.dtype]
    b = hashlib.shake_256(f"gatherfs-oracle:{case_name}:{p.name}:{salt}".encode()).digest(n) if n else b""
    if p.dtype == "BOOL":
        b = bytes(x & 1 for x in b)
    a = np.frombuffer(b, dtype=np.dtype((np.void, DT[p.dtype])))
    return a.reshape(p.shape)


def digest(dtype, shape, raw):
    d = {"dtype": dtype, "shape": list(shape), "nbytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    if xxhash:
        d["xxh3_64"] = xxhash.xxh3_64_hexdigest(raw)
    return d


def write_safetensors(path, tensors, metadata):
    """tensors: {name: (dtype, shape, bytes)}. Own writer with the official order (dtype rank desc, then name),
    header padded with spaces to 8; used for shards so that F8 etc. can be written too."""
    names = sorted(tensors, key=lambda n: (-ST_DTYPE_ORDER.index(tensors[n][0]), n.encode()))
    hdr, off = {}, 0
    if metadata is not None:
        hdr["__metadata__"] = dict(sorted(metadata.items()))
    for n in names:
        dt, sh, raw = tensors[n]
        hdr[n] = {"dtype": dt, "shape": list(sh), "data_offsets": [off, off + len(raw)]}
        off += len(raw)
    h = json.dumps(hdr, separators=(",", ":"), ensure_ascii=False).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(h)) + h)
        for n in names:
            f.write(tensors[n][2])


def read_safetensors(path):
    with open(path, "rb") as f:
        blob = f.read()
    n, = struct.unpack_from("<Q", blob)
    hdr = json.loads(blob[8:8 + n].decode())
    meta = hdr.pop("__metadata__", None)
    ts = {}
    for k, v in hdr.items():
        a, b = v["data_offsets"]
        ts[k] = (v["dtype"], v["shape"], blob[8 + n + a:8 + n + b])
    order = [k for k, _ in sorted(hdr.items(), key=lambda kv: tuple(kv[1]["data_offsets"]))]
    return blob, n, meta, ts, order, list(hdr)


def describe_st(path):
    blob, n, meta, ts, order, json_order = read_safetensors(path)
    d = {"size": len(blob), "sha256": hashlib.sha256(blob).hexdigest(), "metadata": meta, "data_start": 8 + n,
         "order": order, "tensors": {k: digest(*ts[k]) for k in order}}
    if order != json_order:
        d["json_order"] = json_order
    return d


def write_strategy(path, stage, lays, as_json):
    if as_json:
        j = {"current_stage": 2, "parallel_layout_item": {}, "parallel_strategy_item": {}}
        for k, l in lays.items():
            j["parallel_layout_item"][k] = {"dev_matrix": l.dev, "field": 0, "opt_weight_shard_size": l.size,
                                            "opt_weight_shard_step": l.step, "tensor_map": l.tmap}
        j["parallel_strategy_item"]["MatMul_op0"] = {"parallel_strategy": [[1, 1]], "stage": stage}
        with open(path, "w") as f:
            json.dump(j, f)
        return
    from mindspore.train.node_strategy_pb2 import ParallelStrategyMap
    m = ParallelStrategyMap()
    m.current_stage = 2
    it = m.parallel_strategy_item.add()
    it.node_name = "MatMul_op0"
    it.parallel_strategys.stage = stage
    it.parallel_strategys.parallel_strategy.add().dim.extend([1, 1])
    for k, l in lays.items():
        i = m.parallel_layout_item.add()
        i.param_name = k
        pl = i.parallel_layouts
        pl.dev_matrix.add().dim.extend(l.dev)
        if l.nested:
            for t in l.tmap:
                pl.tensor_map.add().dim.extend(t if isinstance(t, list) else [t])
            if len(l.tmap) == 1:
                pl.tensor_map.add()  # MindSpore marks a nested 1-D map by an empty second entry
        else:
            pl.tensor_map.add().dim.extend(l.tmap)
        pl.param_split_shape.add()
        pl.indices_offset.add()
        pl.field = 0
        pl.opt_weight_shard_step = l.step
        pl.opt_weight_shard_size = l.size
    with open(path, "wb") as f:
        f.write(m.SerializeToString(deterministic=True))


def read_strategy_pb(path):
    """-> (stage, {param: Lay}) ; for the real strategy files"""
    from mindspore.train.node_strategy_pb2 import ParallelStrategyMap
    m = ParallelStrategyMap()
    m.ParseFromString(open(path, "rb").read())
    out = {}
    for i in m.parallel_layout_item:
        l = i.parallel_layouts
        tm = [list(t.dim) for t in l.tensor_map]
        tmap = [t for t in tm if t] if len(tm) > 1 else tm[0]
        out[i.param_name] = Lay(list(l.dev_matrix[0].dim), tmap, l.opt_weight_shard_step, l.opt_weight_shard_size)
    return m.parallel_strategy_item[0].parallel_strategys.stage, out


# ----------------------------------------------------------------------------------------------
# 4. running MindSpore
# ----------------------------------------------------------------------------------------------
_ms = None


def get_ms(native_glob):
    global _ms
    if _ms is None:
        import mindspore as ms
        import mindspore.parallel.transform_safetensors as ts
        import mindspore.parallel.checkpoint_transform as ct

        class FakeMem:
            percent = 0.0

        class FakePsutil:
            @staticmethod
            def virtual_memory():
                return FakeMem
        ts.psutil = FakePsutil
        if not native_glob:
            class G:
                @staticmethod
                def glob(pat, **k):
                    return sorted(_glob.glob(pat, **k), key=lambda s: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", s)])
            ts.glob = G
            ct.glob = G
        _ms = (ms, ts, ct)
    return _ms


class ScaledMath:
    """math with ceil(x) -> ceil(x * 3 GiB/limit): only split_num uses ceil in unified_safetensors"""

    def __init__(self, limit):
        self.k = 3 * 1024 ** 3 / limit

    def ceil(self, x):
        return math.ceil(x * self.k)

    def __getattr__(self, n):
        return getattr(math, n)


class Quiet:
    """send fd 1 and 2 to a log while MindSpore works (progress bars, child tracebacks)"""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        sys.stdout.flush(); sys.stderr.flush()
        self.save = os.dup(1), os.dup(2)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(fd, 1); os.dup2(fd, 2); os.close(fd)

    def __exit__(self, *a):
        sys.stdout.flush(); sys.stderr.flush()
        os.dup2(self.save[0], 1); os.dup2(self.save[1], 2)
        os.close(self.save[0]); os.close(self.save[1])
        return False


def choice(name):
    if name.endswith("bias"):
        return False
    if name.endswith(".w1.weight"):
        return name.replace(".w1.", ".gate_proj.")
    return True


class Builder:
    def __init__(self, c, out, args):
        self.c, self.args = c, args
        self.dir = os.path.join(out, c.name)
        if os.path.exists(self.dir):
            for r, ds, fs in os.walk(self.dir):
                os.chmod(r, 0o755)
            shutil.rmtree(self.dir)
        os.makedirs(self.dir)
        self.res = {"case": c.name, "group": c.group, "about": c.about, "bug": c.bug, "expect_error": c.expect_error, "ops": []}

    def p(self, *a):
        return os.path.join(self.dir, *a)

    def real_spec(self):
        """parameters and strategy from MindSpore-written files; shapes from shapes.json beside them"""
        d = os.path.join(HERE, "real_strategies")
        shapes = json.load(open(os.path.join(d, "shapes.json")))
        stages, params = {}, {}
        for f in self.c.real:
            st, lays = read_strategy_pb(os.path.join(d, f))
            stages[st] = lays
            for k in lays:
                base = re.sub(r"^(moment[12]|accu_grads|adam_[mv])\.", "", k)
                params[k] = Param(k, shapes[base])
        per = math.prod(next(iter(stages[0].values())).dev)
        self.c.params = [params[k] for k in sorted(params)]
        self.c.src = Spec([stages[i] for i in sorted(stages)], per)

    def build_inputs(self):
        c = self.c
        ms, ts, ct = get_ms(self.args.native_glob)
        if c.real:
            self.real_spec()
        spec = c.src
        self.byname = {p.name: p for p in c.params}
        self.full = {p.name: content(c.name, p) for p in c.params}
        # strategies
        for which, sp in (("src", c.src), ("dst", c.dst)):
            if sp is None:
                continue
            d = self.p("strategy", which)
            os.makedirs(d)
            ext = "json" if c.json_strategy else "ckpt"
            for r in range(sp.world):
                f = os.path.join(d, f"ckpt_strategy_rank_{r}.{ext}")
                st = r // sp.per
                if c.real:
                    shutil.copy(os.path.join(HERE, "real_strategies", c.real[st]), f)
                else:
                    write_strategy(f, st, sp.stages[st], c.json_strategy)
            merged = self.p("strategy", f"{which}_merged.{ext}")
            with Quiet(self.p("ms.log")):
                ms.parallel.merge_pipeline_strategys(d, merged)
            # what MindSpore's users pass: the plain file for pp1, the merged file for pp>1
            setattr(self, which + "_file", merged if len(sp.stages) > 1 else os.path.join(d, f"ckpt_strategy_rank_0.{ext}"))
        if c.dst is None:
            self.dst_file = None
        keep = self.dedup_map() if c.dedup else None
        # shards
        main = ("{p}_rank_{r}-%d_%d.safetensors" % (c.epoch, c.step), 0)
        self.slices = {}
        for fname, salt in [main] + c.extra_files:
            full = self.full if salt == 0 else {p.name: content(c.name, p, salt) for p in c.params}
            poison = {p.name: content(c.name, p, 1000 + salt) for p in c.params} if c.poison else None
            for r in range(spec.world):
                if c.ranks is not None and r not in c.ranks:
                    continue
                st, lr = divmod(r, spec.per)
                t = {}
                for n, lay in spec.stages[st].items():
                    if keep is not None and n not in keep[r]:
                        continue
                    idx, rep = slice_of(lay, self.byname[n].shape, lr)
                    src = poison if (poison and rep > 0) else full
                    a = np.ascontiguousarray(src[n][idx]) if self.byname[n].shape else src[n]
                    t[n] = (self.byname[n].dtype, a.shape, a.tobytes())
                for h in c.hyper:
                    a = content(c.name, h, salt + (7000 + r if c.hyper_by_rank and r else 0))
                    t[h.name] = (h.dtype, h.shape, a.tobytes())
                d = self.p("src", f"rank_{r}")
                os.makedirs(d, exist_ok=True)
                meta = {"format": "ms"} if c.metadata is None else c.metadata
                if c.dedup:
                    meta = dict(meta, remove_redundancy="True")
                write_safetensors(os.path.join(d, fname.format(p=c.prefix, r=r)), t, meta)
        if c.junk:  # things a reader must step over
            for d in ("rank_x9", "rank_8_bak", "rank_", "strategy"):
                os.makedirs(self.p("src", d))
            open(self.p("src", "rank_9"), "w").write("a file, not a directory")
            open(self.p("src", "rank_0", "notes.txt"), "w").write("not a checkpoint")
            open(self.p("src", "rank_8_bak", "net_rank_8-9_9.safetensors"), "w").write("bad")
        self.res["full"] = {n: digest(self.byname[n].dtype, self.byname[n].shape, a.tobytes()) for n, a in self.full.items()}
        self.res["hyper"] = {h.name: digest(h.dtype, h.shape, content(c.name, h).tobytes()) for h in c.hyper}
        self.res["layouts"] = {"src": c.src.json(), "src_ranks_per_stage": c.src.per,
                               "dst": c.dst.json() if c.dst else None, "dst_ranks_per_stage": c.dst.per if c.dst else None}

    def dedup_map(self):
        """which rank keeps which parameter, by MindSpore's own functions, per stage as the training job does"""
        from mindspore.train._utils import get_parameter_redundancy, remove_param_redundancy
        keep = {r: set() for r in range(self.c.src.world)}
        if self.c.dedup == "own":
            for st, lays in enumerate(self.c.src.stages):
                for n, lay in lays.items():
                    groups = {}
                    for lr in range(self.c.src.per):
                        groups.setdefault(str(slice_of(lay, self.byname[n].shape, lr)[0]), []).append(st * self.c.src.per + lr)
                    for g in groups.values():
                        keep[g[hashlib.md5(n.encode()).digest()[0] % len(g)]].add(n)
            self.res["kept"] = {str(r): sorted(v) for r, v in keep.items()}
            return keep
        for st in range(len(self.c.src.stages)):
            f = self.p("strategy", "src", f"ckpt_strategy_rank_{st * self.c.src.per}.ckpt")
            red = get_parameter_redundancy(f, initial_rank=st * self.c.src.per)
            for r, names in remove_param_redundancy(red).items():
                keep[r] |= names
            self.res.setdefault("redundancy", []).append({k: v for k, v in red.items()})
        self.res["kept"] = {str(r): sorted(v) for r, v in keep.items()}
        return keep

    # --- truths -------------------------------------------------------------------------------
    def truth_unified(self, salt=0, chf=None):
        out = {}
        for n, p in self.byname.items():
            if n.startswith("accu_grads"):
                continue
            m = n
            if chf:
                x = chf(n)
                if x is False:
                    continue
                m = x if isinstance(x, str) else n
            out[m] = digest(p.dtype, p.shape, content(self.c.name, p, salt).tobytes())
        return out

    def truth_ranks(self, spec, hyper, fname):
        out = {}
        for r in range(spec.world):
            st, lr = divmod(r, spec.per)
            t = {}
            for n, lay in spec.stages[st].items():
                idx, _ = slice_of(lay, self.byname[n].shape, lr)
                a = np.ascontiguousarray(self.full[n][idx])
                t[n] = digest(self.byname[n].dtype, a.shape, a.tobytes())
            for h in hyper:
                t[h.name] = digest(h.dtype, h.shape, content(self.c.name, h).tobytes())
            out[fname.format(r=r)] = t
        return out

    def predict_map(self, a):
        """param_name_map.json in closed form: ranks ascending, tensors in header order, first sight counts; stable sort by
        size, largest first; each goes to the lightest part so far (lowest index wins)"""
        spec, order, chf = self.c.src, [], (choice if a.get("choice") else None)
        layed = {n for s in spec.stages for n in s}
        for r in sorted(int(d[5:]) for d in os.listdir(self.p("src")) if re.fullmatch(r"rank_[0-9]+", d) and os.path.isdir(self.p("src", d))):
            fs = sorted(f for f in os.listdir(self.p("src", f"rank_{r}")) if f.endswith(".safetensors"))
            for n in read_safetensors(self.p("src", f"rank_{r}", fs[0]))[4]:
                if n in layed and n not in order and not n.startswith("accu_grads") and not (chf and chf(n) is False):
                    order.append(n)
        size = {n: math.prod(self.byname[n].shape) * DT[self.byname[n].dtype] for n in order}
        limit = a.get("part_limit", 3 * 1024 ** 3)
        k = min(math.ceil(sum(size.values()) / limit), len(order))
        parts, tot = [[] for _ in range(k)], [0] * k
        for n in sorted(order, key=lambda n: -size[n]):
            i = tot.index(min(tot))
            parts[i].append(n)
            tot[i] += size[n]
        ren = lambda n: chf(n) if chf and isinstance(chf(n), str) else n
        return json.dumps({"metadata": {"total_size": sum(size.values())},
                           "weight_map": {ren(n): f"part{i}.safetensors" for i, p in enumerate(parts) for n in p}}, indent=4)

    # --- operations ---------------------------------------------------------------------------
    def run_op(self, k, op, a):
        ms, ts, ct = get_ms(self.args.native_glob)
        c = self.c
        dst = self.p("ms", f"{k}_{op}")
        r = {"op": op, "args": dict(a), "out": f"ms/{k}_{op}", "status": "ok", "error": None, "problems": []}
        t0 = time.time()
        try:
            with Quiet(self.p("ms.log")):
                if op == "unified":
                    if "part_limit" in a:
                        ts.math = ScaledMath(a["part_limit"])
                    try:
                        sf = self.p("strategy", "src_merged.ckpt") if a.get("merged") else self.src_file
                        ms.parallel.unified_safetensors(self.p("src"), sf, dst,
                                                        merge_with_redundancy=a.get("merge_with_redundancy", True),
                                                        file_suffix=a.get("file_suffix"), max_process_num=2,
                                                        choice_func=choice if a.get("choice") else None)
                    finally:
                        ts.math = math
                elif op == "dist":
                    uni = self.p("ms", "0_unified")
                    ms.load_distributed_checkpoint(None, predict_strategy=None if a.get("nodst") else self.dst_file, format="safetensors",
                                                   unified_safetensors_dir=uni, dst_safetensors_dir=dst,
                                                   rank_id=a.get("rank_id"), max_process_num=2)
                elif op == "reshard":
                    ms.transform_checkpoints(self.p("src"), dst, "out_", self.src_file, self.dst_file,
                                             process_num=a.get("process_num", 1), output_format="safetensors")
                elif op == "ckpt2st":
                    self.make_ckpts(ms)
                    ms.ckpt_to_safetensors(self.p("ckpt"), dst, processes_num=1)
        except BaseException as e:  # MindSpore's error is the result
            if isinstance(e, KeyboardInterrupt):
                raise
            r["traceback"] = [f"{os.path.basename(x.filename)}:{x.lineno} {x.name}" for x in traceback.extract_tb(e.__traceback__)][-4:]
            r["status"], r["error"] = "error", f"{type(e).__name__}: {str(e).splitlines()[0][:600] if str(e) else ''}"
        r["seconds"] = round(time.time() - t0, 3)
        # what it wrote
        files, texts = {}, {}
        for root, _, fs in os.walk(dst):
            for f in sorted(fs):
                full = os.path.join(root, f)
                rel = os.path.relpath(full, dst)
                os.chmod(full, 0o644)
                if f.endswith(".safetensors"):
                    files[rel] = describe_st(full)
                elif f.endswith(".json"):
                    texts[rel] = open(full, encoding="utf-8").read()
        r["files"], r["texts"] = dict(sorted(files.items())), dict(sorted(texts.items()))
        # our own writer must give the same bytes as safetensors' (unless __metadata__ has several keys: random order there)
        same = []
        for rel, d in files.items():
            _, _, meta, tens, _, _ = read_safetensors(os.path.join(dst, rel))
            tmp = self.p("cmp.tmp")
            write_safetensors(tmp, tens, meta)
            same.append(hashlib.sha256(open(tmp, "rb").read()).hexdigest() == d["sha256"])
            os.remove(tmp)
            d["stable_sha256"] = not meta or len(meta) < 2
        r["own_writer_same_bytes"] = f"{sum(same)}/{len(same)}"
        if op == "unified" and "param_name_map.json" in texts:
            r["name_map_as_predicted"] = self.predict_map(a) == texts["param_name_map.json"]
        self.check(r, op, a)
        self.res["ops"].append(r)
        return r

    def make_ckpts(self, ms):
        """shards again as .ckpt, written by ms.save_checkpoint"""
        c, spec = self.c, self.c.src
        from mindspore.common import np_dtype
        np_t = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "U64": np.uint64, "I32": np.int32,
                "U32": np.uint32, "I16": np.int16, "U16": np.uint16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
                "BF16": np_dtype.bfloat16}
        self.ckpt_truth = {}
        for r in range(spec.world):
            st, lr = divmod(r, spec.per)
            d = self.p("ckpt", f"rank_{r}")
            os.makedirs(d)
            plist, tr = [], {}
            for n, lay in spec.stages[st].items():
                a = np.ascontiguousarray(self.full[n][slice_of(lay, self.byname[n].shape, lr)[0]])
                dt = self.byname[n].dtype
                v = np.frombuffer(a.tobytes(), dtype=np_t[dt]).reshape(a.shape)
                plist.append({"name": n, "data": ms.Tensor.from_numpy(v.copy())})
                tr[n] = digest(dt, a.shape, a.tobytes())
            for h in c.hyper:
                raw = content(c.name, h).tobytes()
                v = np.frombuffer(raw, dtype=np_t[h.dtype]).reshape(h.shape)
                plist.append({"name": h.name, "data": ms.Tensor.from_numpy(v.copy())})
                tr[h.name] = digest(h.dtype, h.shape, raw)
            ms.save_checkpoint(plist, os.path.join(d, f"{c.prefix}_rank_{r}-{c.epoch}_{c.step}.ckpt"))
            self.ckpt_truth[f"rank_{r}/{c.prefix}_rank_{r}-{c.epoch}_{c.step}.safetensors"] = tr

    def check(self, r, op, a):
        c, prob = self.c, r["problems"]
        salt = 0
        if op == "unified":
            fn = {f.format(p=c.prefix, r=0): s for f, s in c.extra_files}
            fn[f"{c.prefix}_rank_0-{c.epoch}_{c.step}.safetensors"] = 0
            r["salt"] = None
            # find which of the candidate checkpoints came out
            got = {}
            for f, d in r["files"].items():
                if f.startswith("part"):
                    got.update(d["tensors"])
            chf = choice if a.get("choice") else None
            best = 0
            for s in sorted(set(fn.values())):
                t = self.truth_unified(s, chf)
                if got and all(got.get(n, {}).get("sha256") == t[n]["sha256"] for n in t):
                    best = s
                    r["salt"] = s
                    r["picked"] = [f for f, x in fn.items() if x == s][0]
                    break
            r["truth"] = {"*": self.truth_unified(best, chf)}
            if r["status"] == "ok":
                self.compare(prob, r["truth"]["*"], got, "unified")
                hyp = r["files"].get("hyper_param.safetensors", {}).get("tensors", {})
                want = {h.name: digest(h.dtype, h.shape, content(c.name, h, best).tobytes()) for h in c.hyper}
                self.compare(prob, want, hyp, "hyper_param", extra_ok=True)
                r["hyper_extra"] = sorted(set(hyp) - set(want))
        elif op in ("dist", "reshard"):
            if a.get("nodst"):
                t = {"rank_0/net.safetensors": {**self.truth_unified(), **{h.name: digest(h.dtype, h.shape, content(c.name, h).tobytes()) for h in c.hyper}}}
            else:
                t = self.truth_ranks(c.dst, c.hyper, "rank_{r}/net.safetensors" if op == "dist" else "rank_{r}/out_{r}.safetensors")
            if a.get("rank_id") is not None:
                t = {k: v for k, v in t.items() if k.startswith(f"rank_{a['rank_id']}/")}
            r["truth"] = t
            if r["status"] == "ok":
                for f in t:
                    if f not in r["files"]:
                        prob.append(f"missing file {f}")
                    else:
                        self.compare(prob, t[f], r["files"][f]["tensors"], f)
                for f in r["files"]:
                    if f not in t:
                        prob.append(f"extra file {f}")
        elif op == "ckpt2st":
            r["truth"] = getattr(self, "ckpt_truth", {})
            for f, t in r["truth"].items():
                if f not in r["files"]:
                    prob.append(f"missing file {f}")
                else:
                    self.compare(prob, t, r["files"][f]["tensors"], f)
        r["agrees"] = (not prob) if r["status"] == "ok" else None
        r["problem_count"] = len(prob)
        r["problems"] = prob[:20]

    @staticmethod
    def compare(prob, want, got, where, extra_ok=False):
        for n, d in want.items():
            g = got.get(n)
            if g is None:
                prob.append(f"{where}: {n!r} missing")
            elif (g["dtype"], g["shape"], g["sha256"]) != (d["dtype"], d["shape"], d["sha256"]):
                w = "dtype" if g["dtype"] != d["dtype"] else "shape" if g["shape"] != d["shape"] else "bytes"
                prob.append(f"{where}: {n!r} {w} differ (MindSpore {g['dtype']}{g['shape']}, truth {d['dtype']}{d['shape']})")
        if not extra_ok:
            for n in got:
                if n not in want:
                    prob.append(f"{where}: {n!r} unexpected")

    def run(self):
        self.build_inputs()
        for k, (op, a) in enumerate(self.c.ops):
            self.run_op(k, op, a)
        inp = {}
        for sub in ("src", "strategy", "ckpt"):
            for root, _, fs in os.walk(self.p(sub)):
                for f in sorted(fs):
                    b = open(os.path.join(root, f), "rb").read()
                    inp[os.path.relpath(os.path.join(root, f), self.dir)] = {"size": len(b), "sha256": hashlib.sha256(b).hexdigest()}
        self.res["inputs"] = dict(sorted(inp.items()))
        self.res["shard_bytes"] = sum(v["size"] for k, v in inp.items() if k.startswith("src/"))
        import mindspore, safetensors, google.protobuf
        self.res["versions"] = {"mindspore": mindspore.__version__, "safetensors": safetensors.__version__,
                                "numpy": np.__version__, "protobuf": google.protobuf.__version__}
        with open(self.p("expected.json"), "w", encoding="utf-8") as f:
            json.dump(self.res, f, indent=1, ensure_ascii=False)
        return self.res


def verdict(c, res):
    """pass = MindSpore agrees with our truth on every op, or fails as the case says"""
    out = []
    for o in res["ops"]:
        out.append("ERR" if o["status"] == "error" else "ok" if o["agrees"] else "DIFF")
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("case")
    ap.add_argument("out", nargs="?")
    ap.add_argument("--st", default="0.7.0", help="safetensors version under st/, or 'venv'")
    ap.add_argument("--numpy", default="1.26.4", help="numpy version under st/, or 'venv'")
    ap.add_argument("--native-glob", action="store_true")
    ap.add_argument("-q", action="store_true")
    args = ap.parse_args()
    define_cases()
    if args.case == "list":
        for c in CASES:
            print(f"{c.group:4} {c.name:22} {c.about}")
        return
    todo = [c for c in CASES if args.case in ("all", c.name, c.group)]
    if not todo or not args.out:
        sys.exit("no such case, or no output folder")
    os.makedirs(args.out, exist_ok=True)
    summary = []
    for c in todo:
        t0 = time.time()
        try:
            res = Builder(c, args.out, args).run()
        except Exception:
            traceback.print_exc()
            print(f"{c.name}: ORACLE FAILED")
            summary.append({"case": c.name, "group": c.group, "ops": ["ORACLE FAILED"]})
            continue
        v = verdict(c, res)
        line = {"case": c.name, "group": c.group, "ranks": c.src.world, "params": len(c.params), "shard_bytes": res["shard_bytes"],
                "ops": [f"{o['op']}{json.dumps(o['args']) if o['args'] else ''}:{x}" for o, x in zip(res["ops"], v)], "bug": c.bug,
                "seconds": round(time.time() - t0, 2)}
        summary.append(line)
        if not args.q:
            print(f"{c.group:4} {c.name:22} {c.src.world:3} ranks {len(c.params):5} params {res['shard_bytes']:9} B {line['seconds']:6.1f}s  {' '.join(line['ops'])}", flush=True)
            for o in res["ops"]:
                a_, b_ = (o.get("own_writer_same_bytes") or "0/0").split("/")
                multi = any(not d.get("stable_sha256", True) for d in o["files"].values())
                if a_ != b_ and not multi or o.get("name_map_as_predicted") is False:
                    print("       ", o["op"], "own writer", o.get("own_writer_same_bytes"), "map predicted", o.get("name_map_as_predicted"))
                if o["status"] == "error":
                    print("       ", o["op"], o["error"][:260])
                for pr in o["problems"][:3]:
                    print("       ", o["op"], pr)
                if o["problem_count"] > 3:
                    print("       ", o["op"], f"... {o['problem_count']} problems")
    with open(os.path.join(args.out, f"summary_{args.case}.json"), "w") as f:
        json.dump(summary, f, indent=1, ensure_ascii=False)


if __name__ == "__main__":
    main()
