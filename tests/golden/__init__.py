"""Golden vectors: what the official implementations computed, and what this project computes instead.

`python -m tests.golden PATH...` compares; `tests/test_golden.py` does the same under pytest. A case is a .json
that says what was run and an .npz with its arrays; the networks' weights are filled by rule. To serve another
family of cases, add a module to `tests/golden/adapters` with one small function a subject.
"""
