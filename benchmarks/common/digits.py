"""The digits model on one image: by a program on our API, by the command line tool, and by the peer."""

import harness

PACKAGE = harness.ROOT / "examples/digits/digits.pt2"
IMAGES = harness.ROOT / "examples/digits/heldout.npz"


def commands(place):
    """The three programs' command lines, after it was seen that their outputs agree."""
    pixels, sizes = harness.read_npz_floats(IMAGES, "image")
    one = pixels[: len(pixels) // sizes[0]]
    raw, npz = place.scratch / "image.f32", place.scratch / "image.npz"
    harness.write_floats(raw, one)
    harness.write_npz_floats(npz, "image", one, [1, *sizes[1:]])
    result = {
        "ours": [place.program("bench_first_output_ours"), PACKAGE, raw],
        "cli": [place.program("penstock"), "run", PACKAGE, "--inputs", npz],
        "peer": [place.program("bench_first_output_peer"), PACKAGE, raw],
    }

    outputs = {name: place.scratch / f"{name}.f32" for name in ("ours", "peer")}
    for name, path in outputs.items():
        harness.measure(place, path, result[name])
    written = place.scratch / "cli.npz"
    harness.run([*result["cli"], "--outputs", written])
    peer = harness.read_floats(outputs["peer"])
    harness.require_close("first output", harness.read_floats(outputs["ours"]), peer, 1e-4)
    harness.require_close("first output", harness.read_npz_floats(written, "out0")[0], peer, 1e-4)
    return result
