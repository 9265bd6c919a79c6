"""What the internet sends, in short: test/hostile/ has the attacks, `./dev hostile` their whole size."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "hostile")]
import attacks  # noqa: E402
import soak  # noqa: E402


class Hostile(unittest.TestCase):
    def test_mutated_handshakes(self):
        print(attacks.handshakes(4000))

    def test_drain_under_load(self):
        print(attacks.drain(10))

    def test_memory(self):
        print(attacks.memory(100))

    def test_soak(self):
        print(soak.soak(0.1, interval_s=3))


if __name__ == "__main__":
    unittest.main()
