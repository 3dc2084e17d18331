"""Operations on tensors: pure functions, one file each, for every Keras backend."""
