"""argv: DIR HOW [WANT]: MindSpore Transformers 2.x loads DIR (a mount's unified view, or an iteration) with its own load_checkpoint() and resumes from common.json.
HOW expected KEY: into tensors of every type; digests as tests/iteration/expected.json has them under KEY.
HOW resume WANT: into a network and its optimizer; values and counters as the iteration WANT has them.
HOW values STEP: the same with the values that make_ranks.py gave them.
HOW legacy WANT: the resume of earlier versions, from hyper_param.safetensors."""
import json, sys; sys.path.insert(0, __file__.rsplit('/', 1)[0])
from mfnet import *
graph_mode(); ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
where, how, arg = sys.argv[1:4]

def wanted(folder):
    from safetensors.numpy import load_file
    return {n: a for f in os.listdir(folder) if f.endswith(".safetensors") for n, a in load_file(f"{folder}/{f}").items()}

def same(params, want):
    n = bad = 0
    for p in params:
        if p.name in want and p.name != "learning_rate":
            n += 1
            if not np.array_equal(p.asnumpy().reshape(want[p.name].shape), want[p.name]):
                bad += 1; print("WRONG", p.name)
    print(f"checked {n} parameters, {bad} wrong")
    return bad == 0 and n > 0

def network():
    net = TrainNet(zero=True)
    return net, nn.AdamWeightDecay(net.trainable_params(), learning_rate=0.0)

def expected():
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "iteration"))
    import make
    with open(f"{make.HERE}/expected.json") as f:
        want = json.load(f)[arg]
    got = make.load(where, make.ALL)
    print(f"checked {len(got)} parameters, {sum(got[n] != want[n] for n in want)} wrong")
    return got == want

def resume():
    from mindformers.checkpoint.checkpoint import CommonInfo, load_checkpoint
    net, opt = network()
    load_checkpoint(where, net, opt)
    common = CommonInfo.load_common(f"{where}/common.json")
    params = {p.name: p for p in [*net.get_parameters(), *opt.get_parameters()]}.values()
    step_scale = common.global_batch_size / 4  # as base_trainer.py computes where to go on
    print("step", int(common.step_num * step_scale), "epoch", int(common.epoch_num * step_scale), "global_step", int(opt.global_step.asnumpy()[0]))
    if how == "values":
        want = {p.name: value(p.name, p.shape) for p in params if p.name in spec() or p.name[:7] in ("adam_m.", "adam_v.")}
        return same(params, want) and int(opt.global_step.asnumpy()[0]) == common.global_step == int(arg)
    want = wanted(arg)
    with open(f"{arg}/common.json") as f:
        told = json.load(f)
    return same(params, want) and vars(common) == told and int(opt.global_step.asnumpy()[0]) == told["global_step"]

def legacy():
    from mindformers.tools.resume_ckpt import get_resume_checkpoint
    from mindformers.trainer.utils import transform_and_load_checkpoint, load_resume_context_from_checkpoint
    net, opt = network()
    model = ms.Model(NetLoss(net), optimizer=opt)
    cfg = config(where, resume_training=True, runner_wrapper=dict(scale_sense=None), callbacks=[], use_graceful_exit=False,
                 runner_config=dict(sink_mode=True, epochs=1, sink_size=1, step_scale=None, global_batch_size=1))
    cfg.resume_training = get_resume_checkpoint(where, True, True, "safetensors")
    load_resume_context_from_checkpoint(cfg, None)
    transform_and_load_checkpoint(cfg, model, net, None, optimizer=opt)
    print("initial_step", cfg.runner_config.initial_step, "initial_epoch", cfg.runner_config.initial_epoch)
    with open(f"{arg}/common.json") as f:
        told = json.load(f)
    params = {p.name: p for p in [*net.get_parameters(), *opt.get_parameters()]}.values()
    return same(params, wanted(arg)) and cfg.runner_config.initial_step == told["step_num"] and int(opt.global_step.asnumpy()[0]) == told["global_step"]

sys.exit(0 if {"expected": expected, "resume": resume, "values": resume, "legacy": legacy}[how]() else 1)
