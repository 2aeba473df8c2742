"""argv: OUT STEPS KEEP PAUSE: a real training of STEPS steps, saved at each by the real CheckpointMonitor into OUT/checkpoint/rank_N, where
environment variable RANK_ID says N, at most KEEP steps at a time. What each step has to hold is in OUT/want/rank_N/STEP.npz before it is saved."""
import sys; sys.path.insert(0, __file__.rsplit('/', 1)[0])
from mfnet import *
import time
graph_mode(); ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
from mindspore import dataset, Callback
from mindformers.core.callback import CheckpointMonitor
out, steps, keep, pause = os.path.abspath(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
want = f"{out}/want/rank_{os.environ['RANK_ID']}"
os.makedirs(want)
ms.set_seed(1)

class Note(Callback):
    def on_train_step_end(self, run_context):
        cb = run_context.original_args()
        values = {p.name: p.asnumpy() for p in cb.train_network.get_parameters()}
        np.savez(f"{want}/unfinished.npz", **values)
        os.replace(f"{want}/unfinished.npz", f"{want}/{cb.cur_step_num}.npz")
        time.sleep(pause)

def data():
    for i in range(steps):
        r = np.random.RandomState(i)
        yield r.standard_normal(H).astype(np.float32), r.standard_normal(H).astype(np.float32)

net = TrainNet()
opt = nn.AdamWeightDecay(net.trainable_params(), learning_rate=0.01)
model = ms.Model(NetLoss(net), optimizer=opt)
monitor = CheckpointMonitor(prefix="tiny", directory=out, save_checkpoint_steps=1, keep_checkpoint_max=keep, checkpoint_format="safetensors",
                            integrated_save=False, global_batch_size=2)
model.train(1, dataset.GeneratorDataset(data, ["x", "y"], shuffle=False).batch(1), callbacks=[Note(), monitor], dataset_sink_mode=False)
print("trained", steps, "steps")
