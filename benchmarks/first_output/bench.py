import digits
import harness


def bench(place):
    commands = digits.commands(place)

    def first_output(command):
        return lambda: harness.measure(place, place.scratch / "output", command)["first_output_ns"] / 1e6

    samples = harness.in_turn({name: first_output(command) for name, command in commands.items()}, place.repetitions)
    harness.write_results(place, "first_output", "ms", samples)
    peer = harness.median(samples["peer"])
    return [
        harness.Row("start of a program to its first output", "ms", harness.median(samples["ours"]), peer, 1 / 40),
        harness.Row("the same, `penstock run`", "ms", harness.median(samples["cli"]), peer, 1 / 40),
    ]
