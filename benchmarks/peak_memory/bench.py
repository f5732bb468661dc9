import digits
import harness


def bench(place):
    commands = digits.commands(place)

    def peak(command):
        return lambda: harness.measure(place, place.scratch / "output", command)["max_rss_kib"] / 1024

    samples = harness.in_turn({name: peak(command) for name, command in commands.items()}, place.repetitions)
    harness.write_results(place, "peak_memory", "MiB", samples)
    peer = harness.median(samples["peer"])
    return [
        harness.Row("peak memory of that program", "MiB", harness.median(samples["ours"]), peer, 1 / 20),
        harness.Row("the same, `penstock run`", "MiB", harness.median(samples["cli"]), peer, 1 / 20),
    ]
