"""Tests what corpus.py calls trivial: python tests/corpus/corpus_test.py, with a torch. Without one it ends with 77."""

import sys
import unittest

try:
    import torch
except ImportError:
    print("skipped: no torch (./dev torch-env makes one)")
    sys.exit(77)

import corpus

T = torch.tensor
NAN = float("nan")


class IsTrivial(unittest.TestCase):
    def test_outputs_that_a_wrong_runtime_gets_right(self):
        for values in (torch.zeros(3), torch.ones(3), torch.full((3,), 1e-4), T([NAN, NAN]), T([1.0, NAN, 1.0]),
                       torch.zeros(1), torch.zeros(3, dtype=torch.int64), torch.full((3,), 7), T([True, True]),
                       torch.zeros(2, dtype=torch.bool), torch.zeros(2, dtype=torch.complex64),
                       torch.ones(4, dtype=torch.bfloat16)):
            self.assertTrue(corpus.is_trivial(values), values)

    def test_outputs_that_only_a_right_runtime_gives(self):
        for values in (T([1.0, 2.0]), T([1.0, NAN, 2.0]), T(3.0), T(-2), T([1, 2]), T([True, False]), torch.zeros(0),
                       torch.zeros(0, 3, dtype=torch.int64), T([1 + 1j, 1 - 1j]),
                       T([1, 2], dtype=torch.bfloat16)):
            self.assertFalse(corpus.is_trivial(values), values)


class TrivialProblems(unittest.TestCase):
    good, bad = T([1.0, 2.0]), torch.zeros(2)

    def test_one_trivial_output_among_others_is_told(self):
        problems = corpus.trivial_problems(0, {"out0": self.good, "out1": self.bad}, ())
        self.assertEqual(problems, ["run 0, out1: the reference is constant or tiny"])

    def test_a_named_one_is_let_pass_in_its_run_only(self):
        expected = {"out0": self.good, "out1": self.bad}
        self.assertEqual(corpus.trivial_problems(1, expected, {"1.out1"}), [])
        self.assertEqual(len(corpus.trivial_problems(0, expected, {"1.out1"})), 1)

    def test_a_named_one_has_to_be_trivial(self):
        self.assertEqual(len(corpus.trivial_problems(0, {"out0": self.good}, {"0.out0"})), 1)


class ExpectedOutputs(unittest.TestCase):
    def refuse(self, message):
        def loaded(_):
            raise RuntimeError(message)
        return loaded

    def expected(self, loaded):
        return corpus.expected_outputs(loaded, lambda value: [value + 1], (T([1.0]),), {})

    def test_libtorchs_where_it_answers(self):
        self.assertEqual(self.expected(lambda value: [value + 2]), ([T([3.0])], "libtorch"))

    def test_the_models_own_where_the_processor_has_no_such_layer(self):
        refused = self.refuse("could not create a primitive descriptor for the LSTM forward propagation primitive")
        self.assertEqual(self.expected(refused), ([T([2.0])], "eager"))

    def test_any_other_refusal_is_a_failure(self):
        with self.assertRaisesRegex(RuntimeError, "shape"):
            self.expected(self.refuse("shape"))


if __name__ == "__main__":
    unittest.main()
