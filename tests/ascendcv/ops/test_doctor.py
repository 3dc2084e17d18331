"""The report on what serves the operations."""

from ascendcv.ops import doctor, registry


def test_it_names_the_backend_its_devices_and_every_operation():
    lines = doctor.report()
    assert lines[0] == "backend: tensorflow"
    assert any(line.startswith("device: ") and "CPU" in line for line in lines)
    assert any(line.startswith("NPU: TensorFlow sees none; training on one needs") for line in lines)
    for operation in registry.OPERATIONS:
        assert any(line.startswith(f"{operation}: {registry.chosen(operation)} (") for line in lines)
